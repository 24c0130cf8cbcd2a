"""Print actions as they start and end: python follow.py SOURCE [MODEL].

SOURCE is a camera's number, a video or recorded skeletons; MODEL an exported model.onnx, or else the bundled one.
"""

import sys
from contextlib import closing

from amr_edge import AmrError, EventRecord, SummaryRecord, live


def last(event: EventRecord) -> str:
    """An event for a person to read."""
    who = "" if event.person is None else f"person {event.person}: "
    from_s, to_s = event.done_s
    if event.event == "start":
        return f"{from_s:7.1f} s  {who}{event.label} ..."
    times = "" if event.reps is None else f", {event.reps} times"
    return f"{to_s:7.1f} s  {who}{event.label} for {to_s - from_s:.1f} s{times}"


def main() -> int:
    """Follow the source to its end, or until Ctrl-C."""
    if len(sys.argv) not in (2, 3):
        print(__doc__, file=sys.stderr)
        return 2
    model = sys.argv[2] if len(sys.argv) == 3 else None
    try:
        with closing(live(sys.argv[1], model, note=lambda line: print(line, file=sys.stderr))) as records:
            for record in records:
                if isinstance(record, EventRecord) and record.event != "update":
                    print(last(record), flush=True)
                elif isinstance(record, SummaryRecord):
                    print(f"{record.events} events in {record.seconds:.1f} s")
    except AmrError as refusal:
        print(refusal, file=sys.stderr)
        return refusal.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
