"""Contracts: what rows promise, as predicates that split them and as Soda checks on what stands in a store.

Read `contract.py` first (what a contract may say).
"""
