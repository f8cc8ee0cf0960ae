package main

import (
	"strings"
	"testing"
	"time"
)

func TestBadActivityNamesLineAndReason(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "a.csv:1: the file is empty"},
		{"header", "who,when\n1,2026-02-01T00:00:00Z\n", `a.csv:1: the header is ["who" "when"]`},
		{"no commits", "developer,at\n", "a.csv:2: there are no commits"},
		{"fields", "developer,at\n1,2026-02-01T00:00:00Z\n2\n", "a.csv:3: 1 fields: must be 2"},
		{"number", "developer,at\nx,2026-02-01T00:00:00Z\n", `a.csv:2: developer "x": must be a whole number from 1`},
		{"zero", "developer,at\n0,2026-02-01T00:00:00Z\n", `a.csv:2: developer "0"`},
		{"instant", "developer,at\n\n1,yesterday\n", `a.csv:3: at "yesterday": must be an instant`},
		{"no offset", "developer,at\n1,2026-02-01T00:00:00\n", `a.csv:2: at "2026-02-01T00:00:00"`},
		{"quote", "developer,at\n1,2026-02-01T00:00:00Z\n\"2,2026\n", "a.csv:3: extraneous or missing \" in quoted-field"},
		{"far away", "developer,at\n1,2026-02-01T00:00:00Z\n1,2206-02-01T00:00:00Z\n", "a.csv:3: at 2206-02-01T00:00:00Z: more than three years"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := loadActivity("a.csv", []byte(c.text))
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestActivityIsSorted(t *testing.T) {
	all, err := loadActivity("a.csv", []byte("developer,at\n7,2026-02-02T10:00:00+01:00\n3,2026-02-01T10:00:00Z\n7,2026-02-01T10:00:00+01:00\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].number != 3 || all[1].number != 7 || !all[1].commits[0].Before(all[1].commits[1]) {
		t.Errorf("got %v", all)
	}
}

func FuzzLoadActivity(f *testing.F) {
	f.Add([]byte("developer,at\n1,2026-02-01T02:26:43+02:00\n"))
	f.Add([]byte("developer,at\n1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := loadActivity("f", text)
		if (err == nil) != (len(all) > 0) {
			t.Errorf("%d authors, error %v", len(all), err)
		}
		for _, a := range all {
			if len(a.commits) == 0 {
				t.Errorf("author %d without commits", a.number)
			}
		}
	})
}

func TestHome(t *testing.T) {
	atlas, err := newAtlas()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		commits    []string
	}{
		{"the changed clock tells New York from Bogotá", "America/New_York", []string{"2026-02-10T09:00:00-05:00", "2026-06-10T09:00:00-04:00"}},
		{"an unchanged one tells Bogotá from New York", "America/Bogota", []string{"2026-02-10T09:00:00-05:00", "2026-06-10T09:00:00-05:00"}},
		{"half hours", "Asia/Kolkata", []string{"2026-02-10T09:00:00+05:30"}},
		{"a journey does not move the home", "Asia/Tokyo", []string{"2026-02-10T09:00:00+09:00", "2026-02-11T09:00:00+01:00", "2026-03-10T09:00:00+09:00"}},
		{"an hour nobody in the list has", "Etc/GMT-14", []string{"2026-02-10T09:00:00+14:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var commits []time.Time
			for _, text := range c.commits {
				at, err := time.Parse(time.RFC3339, text)
				if err != nil {
					t.Fatal(err)
				}
				commits = append(commits, at)
			}
			if got, err := atlas.home(commits); got != c.want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
	odd, _ := time.Parse(time.RFC3339, "2026-02-10T09:00:00+01:07")
	if _, err := atlas.home([]time.Time{odd}); err == nil {
		t.Error("an offset that no zone has must be an error")
	}
}
