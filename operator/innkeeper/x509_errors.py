"""What the cryptography library raises at bytes that are no certificate or request that can be used.

It has no base class for them, and its documentation names but some. Who reads what a stranger sent catches all of these.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

UNUSABLE = (
    ValueError,
    TypeError,
    InvalidSignature,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.UnsupportedGeneralNameType,
)
