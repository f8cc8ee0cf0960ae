package rendercache

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// madeTraces are requests as a control plane makes them, by our own model. None is a recording.
func madeTraces(n int) []trace {
	random := rand.New(rand.NewPCG(3, 4))
	popular := rand.NewZipf(random, 1.1, 3, 20_000)
	all := []trace{{name: "passes"}, {name: "builds"}, {name: "forms"}, {name: "versions"}}
	for i := range n {
		// A reconciler walks its presets again and again.
		all[0].keys = append(all[0].keys, uint32(i%3_000))
		// Builds of many owners, each rendered twice close together.
		k := uint32(popular.Uint64())
		if i%2 == 1 && i > 20 {
			k = all[1].keys[i-1-2*random.IntN(8)]
		}
		all[1].keys = append(all[1].keys, k)
		// Forms that are typed into: every key stroke is new, between builds that are not.
		k = uint32(1_000_000 + i)
		if random.IntN(3) > 0 {
			k = uint32(popular.Uint64())
		}
		all[2].keys = append(all[2].keys, k)
		// Templates that get a new version now and then: what was hot dies at once.
		all[3].keys = append(all[3].keys, uint32(i/5_000*100_000)+uint32(popular.Uint64())%2_000)
	}
	return all
}

// readTraces reads the files of a folder: a number a line, one line a request, compressed with gzip or not.
func readTraces(dir string, limit int) ([]trace, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt*"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s is %s: there is no *.txt or *.txt.gz in it", tracesVariable, dir)
	}
	var traces []trace
	for _, name := range names {
		t, err := readTrace(name, limit)
		if err != nil {
			return nil, fmt.Errorf("read trace %s: %w", name, err)
		}
		traces = append(traces, t)
	}
	return traces, nil
}

func readTrace(name string, limit int) (t trace, err error) {
	f, err := os.Open(name)
	if err != nil {
		return t, err
	}
	defer f.Close()
	var in io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(f); err != nil {
			return t, err
		}
	}
	t.name, _, _ = strings.Cut(filepath.Base(name), ".")
	for lines := bufio.NewScanner(in); len(t.keys) < limit; {
		if !lines.Scan() {
			return t, lines.Err()
		}
		k, err := strconv.ParseUint(lines.Text(), 10, 32)
		if err != nil {
			return t, err
		}
		t.keys = append(t.keys, uint32(k))
	}
	return t, nil
}
