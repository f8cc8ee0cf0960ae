package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/dormouse-go/dormouse/acquirer/queue"
)

// standings are lanes as they are read, with the numbers of their tag sets, and when the next job turns ready.
type standings struct {
	list    []queue.ReadyLane
	tagSets []int32
	next    time.Time
	// passed are all lanes that the walk came past, also those that are paused.
	passed []passedLane
	walk   walk
}

// walk is how far a walk through the lanes has come: it goes on behind a lane of an organization.
type walk struct {
	organization uuid.UUID
	lane         laneNumber
	// org is the number of the organization in the list of those asked for, from 1.
	org int32
	// steps is how many the last page took.
	steps int32
}

// standings reads the lanes: of one organization from where earlier readings have found them, unless the query is whole or these
// turn out to be void. Each page is a snapshot of its own: a lane stands as it was at some moment since the call.
func (s *Store) standings(ctx context.Context, now time.Time, q queue.ReadyQuery) (read standings, err error) {
	p := pages{Store: s, now: now, countTo: max(q.CountTo, 1), organizations: keys(q.Organizations)}
	p.remembers = len(q.Organizations) == 1 && s.host == nil
	var known []frontRow
	if p.remembers {
		p.organization = q.Organizations[0]
		known, p.priorities = s.fronts.of(p.organization)
	}
	if q.Whole {
		known = nil
	}
	if len(p.organizations) > 0 {
		err = p.ofSome(ctx, known)
	} else {
		err = p.ofAll(ctx)
	}
	if err == nil && p.remembers && !s.fronts.learn(p.organization, p.read.passed, p.claimed) && !q.Whole {
		q.Whole = true
		return s.standings(ctx, now, q)
	}
	return p.read, err
}

// pages is the reading of lanes, page by page.
type pages struct {
	*Store
	now           time.Time
	countTo       int
	organizations []key
	read          standings

	// remembers: the organization is the only one, and what is read of its claims says what its lanes can hold.
	remembers    bool
	organization uuid.UUID
	priorities   []int16
	claimed      claimedLast
}

func (p *pages) ofAll(ctx context.Context) error {
	for {
		at := p.read.walk
		err := p.page(ctx, p.sql(nextOfAllSQL), []any{p.now}, p.sql(readyOfAllSQL),
			p.countTo, p.now, key(at.organization), at.lane.kind, at.lane.tagSet, at.lane.priority, walkPage)
		if err != nil || p.read.walk.steps < walkPage {
			return err
		}
	}
}

// ofSome tells each page of the bounds in front of it, as many as it has steps for: all of them for each page would cost the
// square of their number.
func (p *pages) ofSome(ctx context.Context, known []frontRow) error {
	place := make(map[laneNumber]int, len(known))
	for i, r := range known {
		place[r.laneNumber] = i
	}
	ahead, met := 0, 0
	for p.read.walk.org = 1; int(p.read.walk.org) <= len(p.organizations); {
		at, next := p.read.walk, known[ahead:min(ahead+walkPage, len(known))]
		text := readyOfSomeSQL
		args := []any{p.countTo, p.now, p.organizations, at.org, at.lane.kind, at.lane.tagSet, at.lane.priority, walkPage}
		if len(next) > 0 {
			text, args = readyFromBoundsSQL, append(args, frontColumns.args(next)...)
		}
		if err := p.page(ctx, p.sql(nextOfSomeSQL), []any{p.now, p.organizations}, p.sql(text), args...); err != nil {
			return err
		}
		for _, lane := range p.read.passed[met:] {
			if i, ok := place[lane.laneNumber]; ok {
				ahead = max(ahead, i+1)
			}
		}
		met = len(p.read.passed)
	}
	return nil
}

// page reads one page, with the first one also what else there is to read.
func (p *pages) page(ctx context.Context, nextSQL string, nextArgs []any, lanesSQL string, args ...any) error {
	first := p.read.passed == nil
	var part standings
	var claimed claimedLast
	err := p.do(ctx, repeatable, func(ctx context.Context) error {
		var b pgx.Batch
		b.Queue(orderedSQL)
		if first && p.remembers {
			b.Queue(p.sql(claimedLastSQL), key(p.organization), p.priorities)
		}
		b.Queue(lanesSQL, parameters(args))
		if first {
			b.Queue(nextSQL, nextArgs...)
		}
		return p.send(ctx, &b, func(r pgx.BatchResults) error {
			skip(r, 1)
			if first && p.remembers {
				if err := claimed.collect(r.Query()); err != nil {
					return err
				}
			}
			if err := part.collect(r.Query()); err != nil || !first {
				return err
			}
			return r.QueryRow().Scan(toTime(&part.next))
		})
	})
	switch {
	case err != nil:
		return err
	case first:
		p.read, p.claimed = part, claimed
	default:
		p.read.add(part)
	}
	return nil
}

// add takes in another page.
func (l *standings) add(page standings) {
	l.list, l.tagSets = append(l.list, page.list...), append(l.tagSets, page.tagSets...)
	l.passed = append(l.passed, page.passed...)
	l.walk = page.walk
}

func (l *standings) collect(rows pgx.Rows, _ error) error {
	*l = standings{passed: []passedLane{}}
	var st queue.ReadyLane
	var tagSet int32
	var paused bool
	var at walk
	targets := []any{
		toID(&st.Lane.Organization), &st.Lane.Type, &tagSet, &st.Lane.Priority, &st.Count, &st.From, toTime(&st.Oldest), &paused,
		&at.org, &at.steps,
	}
	_, err := pgx.ForEachRow(rows, targets, func() error {
		lane := laneNumber{st.Lane.Type, tagSet, st.Lane.Priority}
		if at.steps > l.walk.steps {
			at.organization, at.lane = st.Lane.Organization, lane
			l.walk = at
		}
		if lane.kind != "" { // else it went on to the next organization
			l.passed = append(l.passed, passedLane{lane, st.From, st.Count > 0})
		}
		if st.Count == 0 {
			return nil
		}
		normalize(&st.Oldest)
		if !paused {
			l.list, l.tagSets = append(l.list, st), append(l.tagSets, tagSet)
		}
		return nil
	})
	return err
}
