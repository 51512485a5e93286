"""What S3 and boto3 report, as our errors with advice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSLError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from export_pipelines.errors import ConfigurationError, ExportError, StorageError, StorageUnavailableError

_CREDENTIALS = "Correct `access_key_id` and `secret_access_key` of the store, or boto3's own credentials"
_REGION = "Set `region` of the store to the bucket's region"
_DAMAGED = "The bytes changed on the way: run the export again, and check the network if it happens again"
_KMS = "Check `kms_key_id` of the store: the key must exist, be enabled, and be in the bucket's region"
_DELETING = "s3:DeleteObject, which the bucket's policy and object lock may forbid too"
TAKEN = "The name is taken and nothing is overwritten: run the export again"

_ADVICE = {
    "NoSuchBucket": "Create the bucket, or correct `bucket` and `region` of the store",
    "NoSuchKey": "Check the path; a retention policy or somebody may have deleted it",
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "ExpiredToken": "The session's credentials have expired: renew them",
    "RequestTimeTooSkewed": "Correct this machine's clock",
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "301": _REGION,
    "PreconditionFailed": TAKEN,
    "412": TAKEN,
    "BadDigest": _DAMAGED,
    "InvalidDigest": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "InvalidStorageClass": "Correct `storage_class` of the store",
    "InvalidTag": "Correct `tags` of the store",
    "InvalidObjectState": "The file is archived: restore it first, or use a `storage_class` that can be read at once",
    "KMS.NotFoundException": _KMS,
    "KMS.DisabledException": _KMS,
    "KMS.KMSInvalidStateException": _KMS,
    "QuotaExceeded": "The bucket's quota is used up: free space or raise it, then run the export again",
    "XMinioStorageFull": "The service's disk is full: free space, then run the export again",
    "NotImplemented": "The service lacks a feature: remove `storage_class`, `tags` or `server_side_encryption`",
}
_PASSING = {
    "BandwidthLimitExceeded",
    "ConditionalRequestConflict",
    "InternalError",
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequests",
}
_PERMISSIONS = {
    "PutObject": "s3:PutObject (with tags also s3:PutObjectTagging, with `aws:kms` also kms:GenerateDataKey)",
    "CreateMultipartUpload": "s3:PutObject (with tags also s3:PutObjectTagging, with `aws:kms` also "
    "kms:GenerateDataKey and kms:Decrypt)",
    "UploadPart": "s3:PutObject (with `aws:kms` also kms:GenerateDataKey and kms:Decrypt)",
    "CompleteMultipartUpload": "s3:PutObject (with `aws:kms` also kms:Decrypt)",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads on the bucket",
    "ListObjectsV2": "s3:ListBucket on the bucket",
    "HeadBucket": "s3:ListBucket on the bucket",
    "HeadObject": "s3:GetObject, and s3:ListBucket on the bucket (with `aws:kms` also kms:Decrypt)",
    "GetObject": "s3:GetObject, and s3:ListBucket on the bucket (with `aws:kms` also kms:Decrypt)",
    "DeleteObject": _DELETING,
    "DeleteObjects": _DELETING,
}
AGAIN = "Check the service; the run is tried again"


def code_of(error: ClientError) -> str:
    """The service's error code, such as `NoSuchKey`; the HTTP status where an answer has no body."""
    return str(error.response.get("Error", {}).get("Code", ""))


def status_of(error: ClientError) -> int:
    """The HTTP status of the answer, 0 if unknown."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


@contextmanager
def reporting(doing: str) -> Iterator[None]:
    """Turns errors of boto3 into ours; `doing` names the store, the action and the place.

    Messages hold the service's error code and never its text, which may quote what was sent; so its error is not
    chained either, for Dagster would keep that text. Raises
    StorageUnavailableError if it may pass, ConfigurationError if credentials are missing, StorageError otherwise.
    """
    try:
        yield
    except ClientError as error:
        raise refused(doing, error.operation_name, code_of(error), status_of(error)) from None
    except ResponseParserError:
        raise StorageUnavailableError(f"{doing}: the service's answer cannot be read", hint=AGAIN) from None
    except BotoCoreError as error:
        raise _failed(doing, error) from error


def refused(doing: str, operation: str, code: str, status: int) -> ExportError:
    """The service's refusal as our error: transient if it may pass, with advice otherwise.

    `operation` is the request's name, `status` that of HTTP.
    """
    says = f"{doing}: the service answered {code or 'an error'} (HTTP {status})"
    if code in _ADVICE:
        return StorageError(says, hint=_ADVICE[code])
    if status == 501:
        return StorageError(says, hint=_ADVICE["NotImplemented"])
    if code in _PASSING or status == 429 or status >= 500:
        return StorageUnavailableError(says, hint=AGAIN)
    if status == 403 or code == "AccessDenied":
        needed = _PERMISSIONS.get(operation, operation)
        return StorageError(says, hint=f"Allow {needed}, and check the store's credentials")
    return StorageError(says, hint="Check the store's settings against the service")


def _failed(doing: str, error: BotoCoreError) -> ExportError:
    kind = type(error).__name__
    match error:
        case NoCredentialsError() | PartialCredentialsError() | ProfileNotFound() | SSOError() | TokenRetrievalError():
            return ConfigurationError(
                f"{doing}: no credentials ({kind})",
                hint="Set `access_key_id` and `secret_access_key` of the store, or give boto3 credentials of its own",
            )
        case SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return ConfigurationError(
                f"{doing}: the service's certificate is not trusted",
                hint="Set AWS_CA_BUNDLE to the certificate authority's file",
            )
        case ConnectionError() | HTTPClientError() | IncompleteReadError():
            return StorageUnavailableError(
                f"{doing}: no connection, or it was lost ({kind})",
                hint="Check the network and the store's `endpoint_url`, `region`, `path_style`; the run is tried again",
            )
        case CredentialRetrievalError() | MetadataRetrievalError():
            return StorageUnavailableError(f"{doing}: credentials cannot be fetched ({kind})", hint=AGAIN)
        case _:
            return StorageError(f"{doing}: boto3 refuses ({kind})", hint="Check the store's settings")
