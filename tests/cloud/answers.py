"""Resources as the service shows them: every property that the SDK's models insist on is there."""

from .answers_instance import InstanceView
from .answers_network import NetworkView
from .answers_offer import OfferView


class View(NetworkView, InstanceView, OfferView):
    """Shows everything of a region."""
