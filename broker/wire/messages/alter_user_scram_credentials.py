"""AlterUserScramCredentials, API 51 (org.apache.kafka.common.message.AlterUserScramCredentialsRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BYTES, INT8, INT16, INT32, STRING, array, f, message, struct


@struct
class ScramCredentialDeletion:
    name: str = f(STRING, "0+")
    mechanism: int = f(INT8, "0+")


@struct
class ScramCredentialUpsertion:
    name: str = f(STRING, "0+")
    mechanism: int = f(INT8, "0+")
    iterations: int = f(INT32, "0+")
    salt: bytes = f(BYTES, "0+")
    salted_password: bytes = f(BYTES, "0+")


@message(key=ApiKey.ALTER_USER_SCRAM_CREDENTIALS, versions="0", flexible="0+")
class AlterUserScramCredentialsRequest:
    deletions: list[ScramCredentialDeletion] = f(array(ScramCredentialDeletion), "0+")
    upsertions: list[ScramCredentialUpsertion] = f(array(ScramCredentialUpsertion), "0+")


@struct
class AlterUserScramCredentialsResult:
    user: str = f(STRING, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")


@message(key=ApiKey.ALTER_USER_SCRAM_CREDENTIALS, versions="0", flexible="0+")
class AlterUserScramCredentialsResponse:
    throttle_time_ms: int = f(INT32, "0+")
    results: list[AlterUserScramCredentialsResult] = f(array(AlterUserScramCredentialsResult), "0+")
