"""Write measured values for people; the words are those of every part of the product."""

from forewarn_checks.base.amounts import write_value

__all__ = ["write_value"]
