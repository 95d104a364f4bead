"""What the suffix of a file says of what is in it: all in lower case, with the dot."""

from __future__ import annotations

from fer_batch.storage import PICTURE_SUFFIXES


def _suffixes(text: str) -> frozenset[str]:
    return frozenset(f".{suffix}" for suffix in text.split())


VIDEO_SUFFIXES = _suffixes(
    "264 265 266 3g2 3gp 3gp2 3gpp amv apng asf avc avi braw crm dav divx dv dvr-ms f4v flc fli flv gif "
    "gxf h261 h263 h264 h265 h266 hevc ifv insv ivf lrv m1v m2p m2t m2ts m2v m4v mjpeg mjpg mk3d mkv mov "
    "mp2v mp4 mpe mpeg mpg mpv mqv mts mxf mxg nsv nut obu ogm ogv qt r3d rmvb tod trp ts vob vvc webm "
    "wmv wtv xvid y4m"
)
"""Recordings: each is a source, and one that cannot be read is a source that failed."""

STILL_SUFFIXES = PICTURE_SUFFIXES | _suffixes("avif dib jp2 jpe pbm pnm ppm")
"""Pictures. Those that move are videos."""

MOVING_SUFFIXES = _suffixes("avif png webp")
"""Of pictures that may move."""

HEIC_UNREAD = "HEIC pictures are not read: save them as JPEG or PNG"
"""FFmpeg opens the tiles of which cameras make them, and nothing here puts those together."""

UNREAD_SUFFIXES = {
    **dict.fromkeys(_suffixes("heic heif hif"), HEIC_UNREAD),
    **dict.fromkeys(
        _suffixes("exr hdr jxl jxr pcx psb psd ras sgi tga xcf"),
        "pictures of this format are not read: save them as JPEG or PNG",
    ),
    **dict.fromkeys(
        _suffixes("3fr arw cr2 cr3 dng erf kdc mef mrw nef nrw orf pef raf raw rw2 sr2 srf srw x3f"),
        "raw photographs are not read: develop them into JPEG, PNG or TIFF",
    ),
}
"""Pictures that are not read, and what is said of them. One that is named is tried all the same."""

OTHER_SUFFIXES = _suffixes(
    "7z aac ac3 aif aiff amr ape ass avro bak bash bat bib bz2 c cc cfg conf cpp css csv ctl dcm dll doc "
    "docx eaf edf egg env exe fbx ffconcat fif flac gz h h5 hdf5 hpp htm html ico idx ini ipynb jar java "
    "js json jsonl key lck lnk log lrc m3u m3u8 m4a m4b mat md md5 mid midi mka mks mp2 mp3 mpd msg npy "
    "npz numbers odp ods odt oga onnx opus otf parquet pb pdf php pkl ply pps ppt pptx ps pt pth py pyc r "
    "rar rdata rds rst rtf safetensors sav sdp sfv sh sha1 sha256 smi so spl spv sql sqlite srt ssa stl "
    "sub sup svg sys tar tex textgrid tgz thm toml tsv ttf txt url vtt wav whl wma woff woff2 xls xlsm "
    "xlsx xml xmp xz yaml yml zip zst"
)
"""Text, tables, sound, archives, models, and cameras' thumbnails: not looked into in a folder. What has any
other suffix, or none, may be a recording."""
