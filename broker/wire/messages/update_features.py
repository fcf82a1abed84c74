"""UpdateFeatures, API 57 (org.apache.kafka.common.message.UpdateFeaturesRequestData)."""

from __future__ import annotations

from broker.wire.keys import ApiKey
from broker.wire.schema import BOOL, INT8, INT16, INT32, STRING, array, f, message, struct


@struct
class FeatureUpdateKey:
    feature: str = f(STRING, "0+")
    max_version_level: int = f(INT16, "0+")
    allow_downgrade: bool = f(BOOL, "0")
    upgrade_type: int = f(INT8, "1+", default=1)


@message(key=ApiKey.UPDATE_FEATURES, versions="0-1", flexible="0+")
class UpdateFeaturesRequest:
    timeout_ms: int = f(INT32, "0+", default=60000)
    feature_updates: list[FeatureUpdateKey] = f(array(FeatureUpdateKey), "0+")
    validate_only: bool = f(BOOL, "1+")


@struct
class UpdatableFeatureResult:
    feature: str = f(STRING, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")


@message(key=ApiKey.UPDATE_FEATURES, versions="0-1", flexible="0+")
class UpdateFeaturesResponse:
    throttle_time_ms: int = f(INT32, "0+")
    error_code: int = f(INT16, "0+")
    error_message: str | None = f(STRING, "0+", nullable="0+")
    results: list[UpdatableFeatureResult] = f(array(UpdatableFeatureResult), "0+")
