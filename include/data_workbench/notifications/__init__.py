"""Alerts out: what is told, to whom, and each of them once per route.

An alert is stored with the fact it tells, in one transaction (`metastore.alerts`), and handed out afterwards by
`deliver`: a receiver that is away gets it later, and nobody's silence stops a check or a run. Read `delivery.py` first,
then `webhook.py`; `mail.py` and `apprised.py` are the other routes.
"""

from data_workbench.notifications.apprised import AppriseRoute
from data_workbench.notifications.delivery import Delivered, Route, deliver
from data_workbench.notifications.mail import MailRoute
from data_workbench.notifications.webhook import WebhookRoute

__all__ = ["AppriseRoute", "Delivered", "MailRoute", "Route", "WebhookRoute", "deliver"]
