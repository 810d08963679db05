"""Places: sorted sets whose scores are positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hotshelf._errors import ConfigurationError
from hotshelf._redis._commands import Commands
from hotshelf._redis._typing import Reply, Text, Word, command
from hotshelf._redis.words import flags, options


class Geo(Commands[Text]):
    """Commands on places."""

    @command
    def geoadd(
        self,
        name: Word,
        values: Sequence[Word],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
    ) -> Reply[int]:
        """Adds places: longitude, latitude and name of each in turn."""
        if nx and xx:
            raise ConfigurationError("`nx` and `xx` exclude one another: use one of them")
        if len(values) % 3:
            raise ConfigurationError("places are triples: longitude, latitude and name")
        return self._send("GEOADD", name, *flags(nx=nx, xx=xx, ch=ch), *values)

    @command
    def geodist(
        self, name: Word, place1: Word, place2: Word, unit: str | None = None
    ) -> Reply[float | None]:
        words: list[Word] = [name, place1, place2]
        return self._send("GEODIST", *words, *([] if unit is None else [_unit(unit)]))

    @command
    def geohash(self, name: Word, *values: Word) -> Reply[list[str | None]]:
        return self._send("GEOHASH", name, *values)

    @command
    def geopos(self, name: Word, *values: Word) -> Reply[list[tuple[float, float] | None]]:
        return self._send("GEOPOS", name, *values)

    @command
    def geosearch(
        self,
        name: Word,
        member: Word | None = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        withcoord: bool = False,
        withdist: bool = False,
        withhash: bool = False,
    ) -> Reply[list[Any]]:
        """Returns the places within a circle or a box. Those with a distance, a hash or a position
        are lists: the name, and these in that order."""
        words = _area(member, longitude, latitude, unit, radius, width, height)
        words += _order(sort, count, any)
        words += flags(withdist=withdist, withhash=withhash, withcoord=withcoord)
        return self._send("GEOSEARCH", name, *words)

    @command
    def geosearchstore(
        self,
        dest: Word,
        name: Word,
        member: Word | None = None,
        longitude: float | None = None,
        latitude: float | None = None,
        unit: str = "m",
        radius: float | None = None,
        width: float | None = None,
        height: float | None = None,
        sort: str | None = None,
        count: int | None = None,
        any: bool = False,
        storedist: bool = False,
    ) -> Reply[int]:
        words = _area(member, longitude, latitude, unit, radius, width, height)
        words += _order(sort, count, any) + flags(storedist=storedist)
        return self._send("GEOSEARCHSTORE", dest, name, *words)


def _unit(unit: str) -> str:
    if unit not in ("m", "km", "mi", "ft"):
        raise ConfigurationError(f"invalid unit {unit!r}: use 'm', 'km', 'mi' or 'ft'")
    return unit


def _area(
    member: Word | None,
    longitude: float | None,
    latitude: float | None,
    unit: str,
    radius: float | None,
    width: float | None,
    height: float | None,
) -> list[Word]:
    words: list[Word]
    if member is not None and longitude is None and latitude is None:
        words = ["FROMMEMBER", member]
    elif member is None and longitude is not None and latitude is not None:
        words = ["FROMLONLAT", longitude, latitude]
    else:
        raise ConfigurationError("invalid center: set `member`, or `longitude` and `latitude`")
    if radius is not None and width is None and height is None:
        return [*words, "BYRADIUS", radius, _unit(unit)]
    if radius is None and width is not None and height is not None:
        return [*words, "BYBOX", width, height, _unit(unit)]
    raise ConfigurationError("invalid area: set `radius`, or `width` and `height`")


def _order(sort: str | None, count: int | None, any: bool) -> list[Word]:
    if sort not in (None, "ASC", "DESC"):
        raise ConfigurationError(f"invalid `sort` {sort!r}: use 'ASC' or 'DESC'")
    if any and count is None:
        raise ConfigurationError("`any` needs a `count`: set both")
    return [*([] if sort is None else [sort]), *options(count=count), *flags(any=any)]
