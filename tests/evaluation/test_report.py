from __future__ import annotations

from statuses import START, epoch, status
from test_verdict import GOOD

from evaluation.report import RunData, render
from evaluation.timeline import steps
from evaluation.windows import Span, cut

RUN = Span(START, START + 30)


def page() -> str:
    seen = [status(START + 5, epoch(1, distributed=START + 1, active=START + 4))]
    acks = [START + number / 10 for number in range(300)]
    data = RunData(
        run=RUN,
        publishes=acks,
        acks=acks,
        answers=[(at, 12.0) for at in acks],
        statuses=seen,
        moves=steps(seen, RUN),
        renewals=[],
        faults=[(START + 20, "nats-2")],
        windows=cut(RUN, [Span(START, START + 6)], []),
        key_epochs=[(at, 7) for at in acks],
    )
    return render(data, GOOD.judged())


def test_page_is_self_contained_and_tells_the_verdict() -> None:
    text = page()
    assert "<span>passed</span>" in text
    assert "<script" not in text
    assert text.count("<svg") == 5
    assert 'src="' not in text
