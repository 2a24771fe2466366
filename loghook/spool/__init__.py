"""The spool: a durable queue, one append-only log of events per process, that a crash can't empty.

Limits. A log takes at most `Limits.disk` bytes on disk (1 GiB unless told otherwise). At fifteen sixteenths of that
plain records are dropped and counted; metrics, params and run events go on until the rest is used up. Where the
disk can't be used at most `Limits.memory` bytes wait in memory.

Layout. ``HOME/spool/RUN/WRITER/`` (see `layout`) holds segments: files of 64 KiB growing to 4 MiB, each opening with
a line that names the format's version and the offset of its first event. Offsets count the bytes of events from the
start of the log, across segments, and are never reused. A segment starts as zeros, and JSON has no zero byte, so a
line is whole when it ends in a newline and has no zero byte in it, whatever order the bytes reached the disk in.

Put. One ``mmap.write``: no system call, no lock, no release of the GIL. Once it has returned the event belongs to the
page cache and survives the death of the process, though not, for the seconds until the kernel writes it back, a
power cut. A full segment is sealed by filling it with zeros, which succeeds only if nothing came in between, and the
next one is hung behind it with ``dict.setdefault``; the keeper reserved it, mapped it and touched its pages ahead of
need. Blocks are reserved before they are mapped: a full disk is an error at roll-over, never a signal. On file
systems where a map is not safe (network mounts, FUSE), and while the disk can't be used, segments live in memory and
the keeper appends them to files where it can; a record then survives SIGKILL only once that is done. While lines wait
in memory those that follow do so too: what is on disk has no holes, and a death takes the newest lines alone.

Rescue. Files that somebody else deletes, replaces or cuts short are written anew by the keeper from the maps, which
outlive them; of those that nobody has mapped any more a `census` knows how long they ought to be. Lines that are gone
become filler and are counted as `deleted`: once the slowest destination is past them, when nothing was delivered for
longer than a request takes, or at the end. Where a map is touched beyond the end of its file `guard` keeps SIGBUS from
ending the program.

Read. Any process may read by offset, while the writer writes: `WriterSpool` from outside, `Log.read` from within.

Acknowledge. Each destination has one small file with the offset below which it has everything. Segments that every
destination has are deleted; a dead writer's directory goes, under a name that readers skip, when all is delivered.

Repair. A living process holds ``lock``; the kernel releases it at death. Whoever then takes the lock may deliver,
after `repair` has turned torn lines into filler of the same length. A log that is closed in order ends with a mark in
the place of its next segment, so that no thread that is about to roll over can put a line behind the end.
"""

from loghook.spool.acks import Acknowledged
from loghook.spool.layout import LOCAL, check_id, sweep
from loghook.spool.limits import Limits
from loghook.spool.nowhere import Nowhere
from loghook.spool.reader import WriterSpool, run_writers, writers
from loghook.spool.repair import repair
from loghook.spool.spool import Spool
from loghook.spool.writer import Log

__all__ = [
    "LOCAL",
    "Acknowledged",
    "Limits",
    "Log",
    "Nowhere",
    "Spool",
    "WriterSpool",
    "check_id",
    "repair",
    "run_writers",
    "sweep",
    "writers",
]
