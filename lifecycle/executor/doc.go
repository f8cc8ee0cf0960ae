// Package executor makes the transitions that package lifecycle decides. It reads what is due from a store, asks the host
// for the builds, commits the changes, and delivers their events.
//
// # For hosts
//
// A process that answers people uses a [Client]: it applies verbs, explains, plans policy changes and records activity. A
// process that ticks uses an [Executor], which has a Client of its own:
//
//	e, err := executor.New(store, executor.Config{Builder: builder, Notifier: mail})
//	if err != nil {
//		return err
//	}
//	group.Go(func() error { return e.Run(ctx) }) // ticks every minute until ctx ends
//	...
//	_, err = e.Update(ctx, id, lifecycle.RequestBuild(lifecycle.TransitionStart, uuid.Nil))
//	e.Activity(id, time.Now())
//
// A host with a scheduler of its own calls [Executor.Tick] and [Executor.Relay] instead of [Executor.Run].
//
// A tick groups what is due by the template version that its build will use. Each version is one task of a bounded group,
// in which a [Builder] prepares once what all its builds share.
//
// # What it guarantees
//
//   - A change is applied only to the revision it was computed from. Any number of clients and executors may work on one
//     store; each transition happens once, and no decision on old values is committed.
//   - What is due is found. The cost of a tick is proportional to the number of due workspaces, not to the number that
//     exist.
//   - One bad workspace (an unusable schedule, a builder that fails or panics, a change that the store rejects) stops no
//     other. It backs off, and [Stats] and Explain show why.
//   - An event is delivered after the commit of its change, never before, at least once, and in order for each workspace
//     and topic. A receiver that hangs or fails delays no other topic.
//   - When Run returns, nothing that it started is left but calls that it had to give up. It returns nil when its
//     context ends, and works once.
//
// # What it does not do
//
// It contains no rule: what is due, and what a verb changes, package lifecycle decides. It does not run jobs (see package
// acquirer), send mail, or authorize anybody. It cannot stop a hook or a call of the store that ignores the end of its
// context: it gives the call up some seconds after its limit, goes on without it, and Run names it in its error (see
// [TimeoutError]).
//
// # For operators
//
// Metrics are registered with Config.Registerer from New until Run returns or Close is called, as
// <Namespace>_<name>, with the label instance where Config.Instance is set. A Client alone has only transitions_total.
//
//   - ticks_total by result, tick_duration_seconds, tick_last_success_timestamp_seconds: whether it is alive, and slow.
//   - schedule_lag_seconds by transition: from the instant a transition was due to its commit.
//   - transitions_total by transition and reason; transitions_skipped_total by skip_reason: what was made, and what was
//     due and not made; transitions_held_total: what MaxTransitions or MaxPerTemplate held back.
//   - workspaces_evaluated_total, workspace_errors_total, commit_conflicts_total.
//   - activity_dropped_total: activity that the store refused to take.
//   - overdue_workspaces, outbox_events: what waits in the store, if the store counts it (lifecycle.Gauges).
//   - events_delivered_total by topic and result: ok, error, or pruned, which nobody received within EventRetention.
//
// Every message of the log begins with "executor: ". A transition is one line at Info. A skipped one is one line for each
// new reason, at Warn if it is an error, else at Debug. Errors of the store are at Warn if the loop tries again by itself,
// and at Error if a tick failed or activity was lost.
package executor
