"""The features of browsers that our own pages never use, as the header refuses them."""

from __future__ import annotations

# What none of our own pages uses. It binds no notebook: none is in a frame of such a page.
NEVER_NEEDED = ", ".join(
    f"{feature}=()"
    for feature in (
        "accelerometer",
        "camera",
        "display-capture",
        "geolocation",
        "gyroscope",
        "hid",
        "idle-detection",
        "magnetometer",
        "microphone",
        "midi",
        "payment",
        "publickey-credentials-get",
        "screen-wake-lock",
        "serial",
        "usb",
        "xr-spatial-tracking",
    )
)
