package rendercache

import (
	"context"
	"crypto/md5" // of the encoding to compare with
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/dormouse-go/dormouse/internal/bench/figure"
	"github.com/dormouse-go/dormouse/internal/bench/meter"
	"github.com/dormouse-go/dormouse/rendercache"
)

// parameters are n of a build, of usual length.
func parameters(n int) map[string]string {
	params := make(map[string]string, n)
	for i := range n {
		params[fmt.Sprintf("parameter_%02d_name", i)] = fmt.Sprintf("some value %d", i*7919)
	}
	return params
}

func runKeys(_ context.Context, r *figure.Recorder) error {
	rounds, keys := 15, 20_000
	if r.Full {
		rounds, keys = 61, 50_000
	}
	params := parameters(10)
	id := keysOf(1)[0]
	var ours, separated, formatted []float64
	for range rounds {
		ours = append(ours, alone(keys, func(int) { sinkKey = rendercache.KeyOf(id.Version, id.Owner, params) }))
		separated = append(separated, alone(keys, func(int) { sinkText = separatedKey(params) }))
		formatted = append(formatted, alone(keys, func(int) { sinkHash = formattedKey(params) }))
	}
	note := fmt.Sprintf("10 parameters; ours %.0f ns, ", meter.Median(ours))
	r.AtMost(0.65, "rendercache/key/separated", compare(ours, separated), "x", note+fmt.Sprintf("separators and MD5, which collides, %.0f ns", meter.Median(separated)))
	r.AtMost(0.35, "rendercache/key/formatted", compare(ours, formatted), "x", note+fmt.Sprintf("formatted text and xxhash64, which collides, %.0f ns", meter.Median(formatted)))
	return nil
}

var (
	sinkKey  rendercache.Key
	sinkText string
	sinkHash uint64
)

func sorted(params map[string]string) []string {
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// separatedKey is what the cache proposed to Coder did at first: NUL behind each name and value. Values may hold NULs.
func separatedKey(params map[string]string) string {
	h := md5.New()
	for _, name := range sorted(params) {
		h.Write([]byte(name))
		h.Write([]byte{0})
		h.Write([]byte(params[name]))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// formattedKey is what it did later: name:value, as text. Values may hold colons and commas.
func formattedKey(params map[string]string) uint64 {
	h := xxhash.New()
	for _, name := range sorted(params) {
		_, _ = h.Write([]byte(fmt.Sprintf("%s:%s,", name, params[name])))
	}
	return h.Sum64()
}
