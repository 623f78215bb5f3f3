"""pyiceberg's own configuration, looked at before pyiceberg itself: it reads the file as soon as it is imported."""

from __future__ import annotations

from strictyaml import YAMLError

from app.errors import InvalidSettingError


def check_configuration() -> None:
    """That pyiceberg can read its configuration, if there is any.

    Raises:
        InvalidSettingError: `.pyiceberg.yaml` is no YAML, or not of the form that it has to be of.
    """
    from pyiceberg.utils.config import Config

    try:
        Config()
    except (YAMLError, OSError, UnicodeDecodeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InvalidSettingError(".pyiceberg.yaml", f"pyiceberg cannot read it: {reason}") from error
