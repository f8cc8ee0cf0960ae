package sample_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/dormouse-go/dormouse/internal/mutants/testdata/sample"
)

func TestGrade(t *testing.T) {
	for points, want := range map[int]string{-1: "", 0: "fail", 49: "fail", 50: "pass", 100: "pass", 101: ""} {
		t.Run(strconv.Itoa(points), func(t *testing.T) {
			if got, err := sample.Grade(points); got != want || (err != nil) != (want == "") {
				t.Fatalf("%d: %q, %v", points, got, err)
			}
		})
	}
}

func TestLate(t *testing.T) {
	if now := time.Now(); sample.Late(now, now.Add(-time.Hour)) || !sample.Late(now, now.Add(time.Hour)) {
		t.Fatal("wrong")
	}
}

func TestLoop(t *testing.T) {
	if got := sample.Loop(3); got != 6 {
		t.Fatal(got)
	}
}

func TestQuery(t *testing.T) {
	if sample.Query() == "" {
		t.Fatal("empty")
	}
}

func TestPlain(t *testing.T) {
	if !sample.Kind("plain").Plain() || sample.Kind("other").Plain() {
		t.Fatal("wrong")
	}
}
