package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"

	"github.com/google/uuid"

	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/rendercache/replay"
)

// budget records the requests of a made-up day in a key log, replays them at several budgets and draws the curve.
func budget(ctx context.Context, out io.Writer, picture string) error {
	var file bytes.Buffer // a host would write to a real one
	log := rendercache.NewKeyLog(&file)
	r, err := newRenderer(0, log, nil)
	if err != nil {
		return err
	}
	if err := day(ctx, r); err != nil {
		return err
	}
	r.close()
	if err := log.Flush(); err != nil {
		return err
	}
	records, err := replay.ReadKeyLog(&file)
	if err != nil {
		return err
	}
	points := replay.Replay(records, replay.Config{}, replay.Capacities(records, replay.Config{}, 12)...)

	title := "What would a budget bring?"
	fmt.Fprintf(out, "\n%s\n%s\n", title, strings.Repeat("-", len(title)))
	fmt.Fprintf(out, "  %10s  %9s  %8s\n", "MaxWeight", "hit ratio", "evicted")
	for _, p := range points {
		fmt.Fprintf(out, "  %6.1f KiB  %7.1f %%  %8d  %s\n", float64(p.Capacity)/1024, 100*p.HitRatio(), p.Evicted, strings.Repeat("#", int(40*p.HitRatio())))
	}
	f, err := os.Create(picture)
	if err != nil {
		return err
	}
	if err := replay.PlotSVG(f, "Hit ratio over MaxWeight, one day replayed", points); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nThe curve is drawn in %s\n", picture)
	return f.Close()
}

// day makes requests: a pool filled again and again from three presets, builds of 300 owners, of whom some build often,
// and a form now and then.
func day(ctx context.Context, r *renderer) error {
	random := rand.New(rand.NewPCG(1, 2))
	popular := rand.NewZipf(random, 1.2, 5, 299)
	versions := []uuid.UUID{r.publish(source), r.publish(source), r.publish(source)}
	owners := make([]uuid.UUID, 300)
	for i := range owners {
		owners[i] = uuid.New()
		r.setUser(owners[i], user{Name: fmt.Sprintf("user%d", i)})
	}
	system := uuid.New()
	for i := range 6_000 {
		version, owner := versions[random.IntN(len(versions))], owners[popular.Uint64()]
		params := map[string]string{"cpu": fmt.Sprint(1 + random.IntN(2)*3)}
		switch kind := random.IntN(10); {
		case kind < 4: // a preset
			owner, params["cpu"] = system, "8"
		case kind == 9: // a key stroke
			params["disk_gb"] = fmt.Sprint(i)
		}
		if _, err := r.render(ctx, version, owner, params); err != nil {
			return err
		}
	}
	return nil
}
