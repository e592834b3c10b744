"""`takeover` and `handback`: from a platform's own certificate to ours and back, step by step, each with its way back."""

from certbroker.broker.handover.told import Handover, StepView
from certbroker.broker.handover.walk import handback, take_back, takeover

__all__ = ["Handover", "StepView", "handback", "take_back", "takeover"]
