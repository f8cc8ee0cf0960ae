package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
)

// acceptedKey is a mutant without its line, which moves.
type acceptedKey struct{ file, key string }

// readAccepted reads the survivors that may live. Each is a line "file function: was  =>  is", and the reason in the
// indented lines below it. Lines that begin with # are comments.
func readAccepted(path string) (map[acceptedKey]string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[acceptedKey]string{}
	var key acceptedKey
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case line[0] == '\t' || line[0] == ' ':
			if key == (acceptedKey{}) {
				return nil, fmt.Errorf("%s:%d: a reason for nothing", path, n)
			}
			all[key] = strings.TrimSpace(all[key] + " " + strings.TrimSpace(line))
		default:
			file, rest, ok := strings.Cut(line, " ")
			if key = (acceptedKey{file, rest}); !ok || !strings.Contains(rest, "  =>  ") {
				return nil, fmt.Errorf("%s:%d: not of the form \"file function: was  =>  is\"", path, n)
			}
			if _, twice := all[key]; twice {
				return nil, fmt.Errorf("%s:%d: stands there twice", path, n)
			}
			all[key] = ""
		}
	}
	for k, reason := range all {
		if reason == "" {
			return nil, fmt.Errorf("%s: no reason for %s %s", path, k.file, k.key)
		}
	}
	return all, lines.Err()
}

type report struct {
	all      int
	tried    []*Mutant
	accepted map[acceptedKey]string
	// whole says that every mutant was tried, so that an accepted one that is not alive is out of date.
	whole bool
}

func (r report) reason(m *Mutant) string { return r.accepted[acceptedKey{m.File, m.key()}] }

func (r report) count() (killed, alive, accepted int) {
	for _, m := range r.tried {
		switch {
		case m.Fate == Killed || m.Fate == TimedOut:
			killed++
		case m.Fate == Accepted:
			accepted++
		case !m.alive():
		case r.reason(m) != "":
			accepted++
		default:
			alive++
		}
	}
	return killed, alive, accepted
}

// score is the share of the mutants that a test killed among those that none accepted, in percent.
func (r report) score() float64 {
	killed, alive, _ := r.count()
	if killed+alive == 0 {
		return 100
	}
	return 100 * float64(killed) / float64(killed+alive)
}

func (r report) print(w io.Writer) {
	file := ""
	for _, m := range r.tried {
		if !m.alive() || r.reason(m) != "" {
			continue
		}
		if m.File != file {
			file = m.File
			fmt.Fprintf(w, "\n%s\n", file)
		}
		fmt.Fprintf(w, "  %s:%d %s (%s)\n    - %s\n    + %s\n", m.File, m.Line, m.In, m.Fate, m.Was, m.Is)
	}
	fmt.Fprintln(w)
	r.printStale(w)
	r.printPackages(w)
	killed, alive, accepted := r.count()
	fmt.Fprintf(w, "%d mutants, %d tried: %d killed, %d alive, %d accepted; score %.1f %%, with the accepted ones as alive %.1f %%\n",
		r.all, len(r.tried)-len(r.untried()), killed, alive, accepted, r.score(), 100*float64(killed)/float64(max(1, killed+alive+accepted)))
}

// printStale lists what is accepted and needs it no longer.
func (r report) printStale(w io.Writer) {
	if !r.whole {
		return
	}
	files, alive := map[string]bool{}, map[acceptedKey]bool{}
	for _, m := range r.tried {
		files[m.File] = true
		if m.alive() {
			alive[acceptedKey{m.File, m.key()}] = true
		}
	}
	for k := range r.accepted {
		if files[k.file] && !alive[k] {
			fmt.Fprintf(w, "accepted, and not alive: %s %s\n", k.file, k.key)
		}
	}
}

func (r report) printPackages(w io.Writer) {
	byPackage := map[string][]*Mutant{}
	var paths []string
	for _, m := range r.tried {
		if byPackage[m.target.path] == nil {
			paths = append(paths, m.target.path)
		}
		byPackage[m.target.path] = append(byPackage[m.target.path], m)
	}
	slices.Sort(paths)
	for _, p := range paths {
		part := report{tried: byPackage[p], accepted: r.accepted}
		killed, alive, accepted := part.count()
		fmt.Fprintf(w, "%-60s %5d killed %4d alive %4d accepted  %5.1f %%\n", p, killed, alive, accepted, part.score())
	}
}
