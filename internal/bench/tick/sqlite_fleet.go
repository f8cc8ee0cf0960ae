package tick

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/lifecycle"
	"github.com/dormouse-go/dormouse/schedule"
	"github.com/dormouse-go/dormouse/store/sqlite"
)

// sqliteNow is when the measured ticks happen: a Monday morning. At sqliteEarly happens the one that warms up.
var (
	sqliteNow   = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	sqliteEarly = sqliteNow.Add(-time.Hour)
)

// sqliteEarlies is how many workspaces are due at sqliteEarly: enough for every statement of a tick to be used.
const sqliteEarlies = 111

// fill writes the base: running workspaces of 1,000 owners, one in ten with a deadline at sqliteNow.
func (b *sqliteBench) fill(ctx context.Context, n int) error {
	db, err := sqlite.Open("sqlite", b.base)
	if err != nil {
		return err
	}
	s, err := sqlite.New(db, sqlite.Config{})
	if err == nil {
		err = s.Migrate(ctx)
	}
	if err == nil {
		err = b.fleet(ctx, s, n)
	}
	if err == nil {
		err = emptyLog(ctx, db)
	}
	return errors.Join(err, db.Close())
}

func (b *sqliteBench) fleet(ctx context.Context, s *sqlite.Store, n int) error {
	t := lifecycle.Template{ID: uuid.New(), OrganizationID: uuid.New(), Name: "go", ActiveVersionID: uuid.New(), Policy: lifecycle.Policy{
		AllowUserAutostart: true, AllowUserTTL: true, AutostartDays: schedule.AllDays, TimeTilDormant: 30 * 24 * time.Hour,
	}}
	if err := s.PutTemplate(ctx, sqliteEarly, t); err != nil {
		return err
	}
	b.owners = make([]uuid.UUID, 1000)
	for i := range b.owners {
		b.owners[i] = uuid.New()
		if err := s.PutOwner(ctx, sqliteEarly, lifecycle.Owner{ID: b.owners[i], Name: fmt.Sprintf("owner-%d", i)}); err != nil {
			return err
		}
	}
	var schedules schedule.Interner
	const page = 5000
	for from := 0; from < n; from += page {
		ws := make([]lifecycle.Workspace, 0, page)
		for i := from; i < min(n, from+page); i++ {
			id, err := uuid.NewV7()
			if err != nil {
				return err
			}
			ws = append(ws, lifecycle.Workspace{
				ID: id, OrganizationID: t.OrganizationID, OwnerID: b.owners[i%len(b.owners)], TemplateID: t.ID,
				Name: fmt.Sprintf("workspace-%06d", i), CreatedAt: sqliteNow.AddDate(0, -1, 0),
				LastUsedAt: sqliteNow.Add(-2 * time.Hour), TTL: 8 * time.Hour,
				Autostart: schedules.Weekly(fmt.Sprintf("CRON_TZ=Europe/Berlin %d 7 * * 1-5", i%60)),
			})
		}
		if err := s.CreateWorkspaces(ctx, sqliteEarly, ws...); err != nil {
			return err
		}
		if err := b.start(ctx, s, ws, from); err != nil {
			return err
		}
	}
	return nil
}

// start gives workspaces a start that has succeeded, with a deadline at sqliteNow for one in ten.
func (b *sqliteBench) start(ctx context.Context, s *sqlite.Store, ws []lifecycle.Workspace, from int) error {
	version := uuid.New()
	changes := make([]lifecycle.Change, len(ws))
	for i, w := range ws {
		w.WakeAt = b.deadline(from + i)
		changes[i] = lifecycle.Change{Revision: 1, Workspace: w, NewBuild: true, Build: lifecycle.Build{
			ID: uuid.New(), Number: 1, TemplateVersionID: version, Transition: lifecycle.TransitionStart,
			Status: lifecycle.JobSucceeded, Reason: lifecycle.ReasonManual,
			CreatedAt: sqliteNow.Add(-2 * time.Hour), CompletedAt: sqliteNow.Add(-2 * time.Hour), Deadline: w.WakeAt,
		}}
	}
	_, err := s.Commit(ctx, sqliteEarly, changes)
	return err
}

// deadline is that of the i-th workspace.
func (b *sqliteBench) deadline(i int) time.Time {
	switch {
	case i%10 == 0:
		b.due++
		return sqliteNow
	case i%10 == 5 && b.early < sqliteEarlies:
		b.early++
		return sqliteEarly
	}
	return sqliteNow.Add(time.Duration(1+i%480) * time.Minute)
}
