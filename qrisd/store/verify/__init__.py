"""What must always hold about the stored rows, and those that break it.

Each rule is one query that answers with the offenders, so that memory stays bounded however much is stored; all are
read in one transaction, so that a running server cannot come in between. A rule holds for every history that qrisd can
write, also with what older versions did not store yet.
"""

from qrisd.store.verify.checking import OFFENDERS_MAX, RULES, Finding, findings, violations

__all__ = ["OFFENDERS_MAX", "RULES", "Finding", "findings", "violations"]
