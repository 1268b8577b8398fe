"""Choose where the servers of a pool are put, and make the networks of all of them.

All of it blocks: call it through the door.
"""

from __future__ import annotations

from functools import partial

import docker

from tmpnb.spawners.docker.networks import podman
from tmpnb.spawners.docker.networks.bridges import Room, make_network
from tmpnb.spawners.docker.networks.guard import Guard
from tmpnb.spawners.docker.networks.networks import Maker, MixedNetworks, Networks, OwnNetworks
from tmpnb.spawners.docker.networks.shared import SharedNetworks
from tmpnb.spawners.docker.options import Options
from tmpnb.spawners.egress import rules


def prepare(client: docker.APIClient, pool: str, options: Options) -> Networks:
    """Return where the servers of a pool are put, made if need be.

    Raises:
        ConfigError: They cannot be put there; the message says what to do.
    """
    name, labels = options.place or options.published_on, options.labels
    way_out, shared = options.way_out, SharedNetworks(client, fleeting=options.fleeting)
    if name and name != way_out:
        closed, room = options.egress == "none" and not options.apart, None
        if not (options.apart or options.kind.podman):
            # A proxy may be on one that leads out and is named, and is not held to their bounds.
            bounded = closed or not options.network
            room = Room(options.own_subnets, options.capacity, bounded, pool)
        shared.add(name, labels, closed=closed, room=room)
    guard = None
    if way_out:
        bridge = rules.bridge(rules.OUT, way_out)
        named = not options.apart
        all_of_them = Room(options.own_subnets, options.capacity, pool=pool, named=named)
        shared.add(way_out, labels, closed=False, bridge=bridge, room=all_of_them)
        guard = Guard(client, pool, way_out, options)
    if not options.apart and not (options.own_networks and options.network):
        return Networks(client, name, guard, shared, published=options.published)
    make: Maker = make_network
    if options.kind.podman:
        make = partial(podman.make, reachable=not name)
    kind = OwnNetworks if options.apart else MixedNetworks
    own = kind(client, pool, name, options.own_subnets, labels, make, guard, way_out, shared)
    if options.apart:
        own.check()
    return own
