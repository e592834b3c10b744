"""One TLS handshake to a name at an address: what is really served there, and whether a user would accept it.

pyOpenSSL gives the chain as sent, `cryptography.x509.verification` the judgement. Nothing is trusted while connecting, so a
bad certificate is seen and described instead of refused. Whatever a server does ends in a `Seen`, never in an exception.
"""

from certbroker.probe.asking import Answer
from certbroker.probe.handshake import NO_ROUTE
from certbroker.probe.seen import Seen, Verdict, look
from certbroker.probe.trust import Roots, judge

__all__ = ["NO_ROUTE", "Answer", "Roots", "Seen", "Verdict", "judge", "look"]
