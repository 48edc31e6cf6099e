"""What pipelines share: templates with variables, and what a pipeline says when it uses one."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from data_workbench.records.definitions import Mistake, Model, Name

VariableType = Literal["text", "integer", "number", "boolean", "list", "mapping"]
TemplateName = Annotated[str, StringConstraints(pattern=r"^([a-z][a-z0-9_]*/)*[a-z][a-z0-9_]{0,62}$", max_length=200)]
"""`copy_table`, or `shared/copy_table`: the file `shared/copy_table.template.yaml` beside or below the pipeline's."""
OWN_KEYS = ("version", "pipeline", "use", "environments")
"""What a template cannot say for the pipelines that use it."""


class Use(Model):
    """A template, and values for its variables."""

    template: TemplateName = Field(description="NAME of NAME.template.yaml, beside or below the pipeline's file")
    with_: dict[Name, Any] = Field(default_factory=dict, alias="with", description="variable: value")


class Variable(Model):
    """A value that a pipeline gives to its template."""

    type: VariableType = Field("text", description="What a value has to be")
    default: Any = Field(None, description="Value when none is given; a variable without one must be given")
    values: list[str | int | float | bool] | None = Field(None, min_length=1, description="Allowed values")
    description: str | None = Field(None, description="What it is for")

    @property
    def is_required(self) -> bool:
        """Whether a pipeline has to give it."""
        return "default" not in self.model_fields_set


class Template(Model):
    """A file *.template.yaml: the skeleton of pipelines, with variables."""

    page: ClassVar = "reuse.md"

    version: Literal[1] = Field(description="Version of the language: 1")
    template: Name = Field(description="Name of the template: that of its file")
    description: str | None = Field(None, description="What it is for")
    variables: dict[Name, Variable] = Field(default_factory=dict, description="What a pipeline gives")
    use: Use | None = Field(None, description="Another template that this one begins with")
    pipeline: dict[str, Any] = Field(description="Keys of a pipeline; {$var: NAME} and {$text: […]} stand for values")

    @model_validator(mode="after")
    def _leaves_the_rest(self) -> Template:
        for key in self.pipeline:
            if key in OWN_KEYS:
                raise Mistake(f"a template does not say {key!r}", at="pipeline", hint="each pipeline says it itself")
        return self
