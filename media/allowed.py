"""What an untrusted file may be: the protocols it may use, the demuxers that may open it, the size of its picture.

The protocol list alone lets a playlist open other files, so demuxers are listed too: never hls, dash, concat, image2.
"""

PROTOCOLS = "file,pipe"
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,mxf,ogg,"
    "flac,wav,w64,mp3,aac,ac3,eac3,aiff,caf,au,amr,wv"
)
"""ffmpeg's own demuxer names; a file that only another demuxer would open is refused."""
MAX_PIXELS = 1 << 26
"""Largest picture that is decoded: 8192 x 8192. A few bytes can promise one that fills the memory."""
