package storetest

import (
	"errors"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

var jobRenewTests = []jobTest{
	{"PassesTheLease", renewPasses},
	{"ProgressAndLines", renewProgress},
	{"NilKeepsProgress", renewKeeps},
	{"StaleFence", renewStale},
	{"EndedJob", renewEnded},
	{"LostProcess", renewLostProcess},
	{"TellsCancellation", renewTells},
	{"AnswersInOrder", renewOrder},
	{"TwoOfOneJob", renewTwo},
}

func renewPasses(k *jobKit) {
	job := k.running()
	next := uuid.New()
	k.heartbeat(next)
	answer := k.renew(queue.Renewal{Handout: k.handout(job), Process: next})
	k.must(answer.Err == nil && !answer.Canceled, "a renewal with the live lease is accepted", "%+v", answer)
	stored := k.get(job.ID)
	k.must(stored.Process == next && stored.Worker == job.Worker, "the lease passes to the renewing process and stays with its worker", "held by %s, %s", stored.Process, stored.Worker)
	k.must(stored.Fence == job.Fence && stored.Attempt == job.Attempt, "a renewal changes neither fence nor attempt", "%+v", stored)
	k.must(len(k.jobs(queue.Filter{Process: k.process})) == 0, "the former process holds the job no more", "it does")
	k.must(len(k.jobs(queue.Filter{Process: next})) == 1, "the renewing process holds the job", "it does not")
}

func (k *jobKit) lines(id uuid.UUID, after int64, limit int) []queue.Line {
	k.t.Helper()
	lines, err := k.store.Lines(k.ctx, id, after, limit)
	k.noError(err, "Lines")
	return lines
}

func renewProgress(k *jobKit) {
	job := k.running()
	r := queue.Renewal{
		Handout: k.handout(job), Process: k.process,
		Progress: &queue.Progress{Percent: 40, Message: "half way"},
		Lines:    []queue.Line{{At: k.now, Text: "one"}, {At: k.now.Add(time.Microsecond), Text: "two\twith ü"}},
	}
	k.renew(r)
	r.Progress, r.Lines = nil, []queue.Line{{Seq: 99, At: k.now, Text: "three"}}
	k.renew(r)
	stored := k.get(job.ID)
	k.must(stored.Progress == queue.Progress{Percent: 40, Message: "half way"}, "progress is stored", "%+v", stored.Progress)
	lines := k.lines(job.ID, 0, 10)
	k.must(len(lines) == 3, "lines are appended", "%d lines, want 3", len(lines))
	for i, text := range []string{"one", "two\twith ü", "three"} {
		k.must(lines[i].Text == text, "lines keep their order and text", "line %d is %q, want %q", i, lines[i].Text, text)
		k.must(i == 0 || lines[i].Seq > lines[i-1].Seq, "the store numbers the lines, rising", "%d after %d", lines[i].Seq, lines[max(i-1, 0)].Seq)
	}
	k.must(lines[1].At.Equal(k.now.Add(time.Microsecond)), "a line keeps its time", "%s", lines[1].At)
}

func renewKeeps(k *jobKit) {
	job := k.running()
	r := queue.Renewal{Handout: k.handout(job), Process: k.process, Progress: &queue.Progress{Percent: 7}}
	k.renew(r)
	r.Progress = nil
	k.renew(r)
	k.must(k.get(job.ID).Progress.Percent == 7, "a renewal without progress keeps the stored one", "%+v", k.get(job.ID).Progress)
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeRequeued})
	again := k.claim(1, job)[0]
	k.must(again.Progress == queue.Progress{}, "a new attempt begins without progress", "%+v", again.Progress)
}

func renewStale(k *jobKit) {
	old := k.running()
	k.end(queue.End{Handout: k.handout(old), Outcome: queue.OutcomeRequeued})
	r := queue.Renewal{
		Handout: k.handout(old), Process: k.process,
		Progress: &queue.Progress{Percent: 99}, Lines: []queue.Line{{At: k.now, Text: "ghost"}},
	}
	k.must(lostLease(k.renew(r).Err), "a renewal of a requeued job is refused", "it was accepted")
	current := k.claim(1, old)[0]
	k.must(lostLease(k.renew(r).Err), "a renewal with an old fence is refused", "it was accepted")
	r.Lease.Fence = current.Fence + 1
	k.must(lostLease(k.renew(r).Err), "a renewal with a fence that was never given is refused", "it was accepted")
	r.Lease.Job = uuid.New()
	k.must(lostLease(k.renew(r).Err), "a renewal of an unknown job is refused", "it was accepted")
	stored := k.get(old.ID)
	k.must(reflect.DeepEqual(stored, current) && len(k.lines(old.ID, 0, 9)) == 0, "a refused renewal has no effect at all", "before %+v\n\tafter  %+v", current, stored)
}

func renewEnded(k *jobKit) {
	job := k.running()
	k.end(queue.End{Handout: k.handout(job), Outcome: queue.OutcomeSucceeded})
	r := queue.Renewal{Handout: k.handout(job), Process: k.process, Lines: []queue.Line{{At: k.now, Text: "late"}}}
	k.must(lostLease(k.renew(r).Err), "a renewal of an ended job is refused", "it was accepted")
	k.must(len(k.lines(job.ID, 0, 9)) == 0, "a refused renewal appends no line", "it did")
}

func renewLostProcess(k *jobKit) {
	job := k.running()
	lost := uuid.New()
	k.heartbeat(lost)
	k.reap(lost, 1)
	for name, process := range map[string]uuid.UUID{"lost": lost, "unknown": uuid.New()} {
		answer := k.renew(queue.Renewal{Handout: k.handout(job), Process: process})
		k.must(errors.Is(answer.Err, queue.ErrProcessLost), "a live lease does not pass to a process that is "+name+", and is not called lost", "error %v", answer.Err)
	}
	k.must(k.get(job.ID).Process == k.process, "a refused renewal does not move the lease", "it did")
}

func renewTells(k *jobKit) {
	job := k.running()
	r := queue.Renewal{Handout: k.handout(job), Process: k.process}
	k.must(!k.renew(r).Canceled, "a renewal reports no cancellation that nobody asked for", "it did")
	k.cancel("enough", job)
	answer := k.renew(r)
	k.must(answer.Err == nil && answer.Canceled, "a renewal says that somebody asked for the cancellation", "%+v", answer)
}

func renewOrder(k *jobKit) {
	a, b := k.running(), k.running()
	k.cancel("", b)
	answers, err := k.store.Renew(k.ctx, k.now, []queue.Renewal{
		{Handout: queue.Handout{Lease: queue.Lease{Job: uuid.New(), Fence: 1}}, Process: k.process},
		{Handout: k.handout(b), Process: k.process},
		{Handout: k.handout(a), Process: k.process},
	})
	k.noError(err, "Renew")
	k.must(len(answers) == 3 && lostLease(answers[0].Err) && answers[1].Canceled && answers[1].Err == nil && answers[2] == queue.Renewed{}, "Renew answers in the order of the renewals, each for itself", "%+v", answers)
}

// A renewal that is refused, beside one of the same job that is not, has no effect and is in nobody's way.
func renewTwo(k *jobKit) {
	job := k.running()
	foreign := k.handout(job)
	foreign.Lease.Fence, foreign.Secret = 7, queue.NewSecret()
	line := func(text string) []queue.Line { return []queue.Line{{At: k.now, Text: text}} }
	answers, err := k.store.Renew(k.ctx, k.now, []queue.Renewal{
		{Handout: foreign, Process: k.process, Lines: line("foreign")},
		{Handout: k.handout(job), Process: k.process, Lines: line("own")},
	})
	k.noError(err, "Renew")
	k.must(len(answers) == 2 && lostLease(answers[0].Err) && answers[1].Err == nil, "each renewal of one job is answered for itself", "%+v", answers)
	lines := k.lines(job.ID, 0, 9)
	k.must(len(lines) == 1 && lines[0].Text == "own", "a renewal that is refused writes no line", "%+v", lines)
}
