"""Recordings as FFmpeg opens them: one file, in a format that holds all there is to read in itself."""

from __future__ import annotations

from pathlib import Path

import av
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.format import Flags
from av.stream import Disposition

from fer_batch.annotation.still import check_is_file, reason_of
from fer_batch.errors import SourceOpenError
from fer_batch.storage import readable

_CONTAINERS = (
    "4xm anm apng asf asf_o avi bink cine dhav dv dxa film_cpk filmstrip flic flv gif gxf hxvs ifv iv8 "
    "ivf ivr jv kux live_flv lmlm4 luodat lxf matroska mlv mods moflex mov mpeg mpegts mpegtsraw mpjpeg "
    "msnwctcp mtv mv mvi mxf mxg nc nsv nut nuv ogg pdv pmp psxstr pva r3d rm roq rpl ser siff smjpeg smk "
    "swf thp ty usm vivo webm wtv yuv4mpegpipe"
)
_RAW_STREAMS = (
    "apv av1 avs2 avs3 cavsvideo dirac dnxhd evc h261 h263 h264 hevc ingenient ipu m4v mjpeg mjpeg_2000 "
    "mpegvideo obu vc1 vc1test vvc"
)
_PICTURES = sorted(name for name in av.formats_available if name.endswith("_pipe"))
"""A picture that is named as a video is one of one frame."""
_OPTIONS = {
    # Playlists, scripts and descriptions of streams are not on the list: FFmpeg knows them by their first
    # words, whatever their suffix, and would read other files, or from the network, as they say.
    "format_whitelist": ",".join([*_CONTAINERS.split(), *_RAW_STREAMS.split(), *_PICTURES]),
    "protocol_whitelist": "file",
}


def open_container(path: Path) -> InputContainer:
    """Open a file whose format is one of recordings; nothing but this file is read.

    Raises:
        SourceOpenError: it cannot be read, or is of another format.
    """
    try:
        check_is_file(path)
        # FFmpeg takes what stands before a colon for a protocol, but not in absolute paths.
        return av.open(str(path.absolute()), metadata_errors="replace", options=dict(_OPTIONS))
    except ArgumentError as error:  # also of a format that is not on the list
        raise SourceOpenError(
            f"{readable(path)} cannot be opened as a video: its format is not one of a recording"
        ) from error
    except (FFmpegError, OSError, ValueError) as error:
        raise SourceOpenError(f"{readable(path)} cannot be opened as a video: {reason_of(error)}") from error


def moving_pictures(container: InputContainer) -> av.VideoStream | None:
    """The stream that is read of a file: its first of video that is no cover picture."""
    videos = container.streams.video
    return next((stream for stream in videos if not stream.disposition & Disposition.attached_pic), None)


def has_clock(container: InputContainer) -> bool:
    """Whether the format tells when frames are shown; raw streams do not."""
    return not container.format.flags & Flags.no_timestamps.value
