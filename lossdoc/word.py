"""What the words of model.yaml are made of: typed blocks that refuse what they do not know."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True)
class Meant:
    """What a field wants, in words for the user; stands beside the field's type."""

    text: str


Count = Annotated[int, Field(ge=1, le=2**31), Meant("a whole number of 1 or more")]
Index = Annotated[int, Field(ge=0, le=2**31), Meant("a whole number of 0 or more")]
Number = Annotated[float, Field(allow_inf_nan=False), Meant("a number")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Meant("a number above 0")]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), Meant("a number of 0 or more")]
Share = Annotated[float, Field(ge=0, lt=1), Meant("a number from 0 up to, not including, 1")]
Text = Annotated[str, Field(min_length=1), Meant("a text")]
Reference = Annotated[
    str,
    Field(pattern=r"^[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*$"),
    Meant("pkg.module:name (or pkg.module:Class.method)"),
]


class Block(BaseModel):
    """A mapping of model.yaml with known keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)
    shorthand: ClassVar[str | None] = None  # the key that a bare value stands for: `dropout: 0.5` is `dropout: {rate: 0.5}`

    @classmethod
    def expand(cls, data: Any) -> Any:
        """Write a shorthand out as the mapping that it stands for; what is none comes back as it is."""
        if cls.shorthand is None or data is None or isinstance(data, dict):
            return data
        return {cls.shorthand: data}


class Word(Block):
    """A block that is called by its name: `relu`, or `linear: {out: 100}`.

    `kind` says in words what the block is, `word` is its name. A subclass for each kind is the type of the fields in which
    its words may stand.
    """

    kind: ClassVar[str] = "a word"
    word: ClassVar[str] = ""


class Own(Block):
    """The user's own code: `call: pkg.module:name`, and the arguments that it gets by name."""

    shorthand: ClassVar[str | None] = "call"
    call: Reference
    args: Annotated[dict[str, Any], Meant("a mapping of arguments by name")] = Field(default_factory=dict)


W = TypeVar("W", bound=Word)


def table(*words: type[W]) -> Mapping[str, type[W]]:
    """Return the classes by their words."""
    return {each.word: each for each in words}
