from tests.issuer.scene import scene

__all__ = ["scene"]
