package replay_test

import (
	"bytes"
	"context"
	"fmt"

	"github.com/dormouse-go/dormouse/rendercache"
	"github.com/dormouse-go/dormouse/rendercache/replay"
)

// Record the requests of a while, then ask what other limits would have brought.
func ExampleReplay() {
	var file bytes.Buffer
	log := rendercache.NewKeyLog(&file)
	cache, err := rendercache.New(rendercache.Config[int, string]{KeyLog: log})
	if err != nil {
		panic(err)
	}
	for i := range 1000 { // a loop over ten keys
		if _, err := cache.Render(context.Background(), i%10, func(context.Context) (string, error) { return "", nil }); err != nil {
			panic(err)
		}
	}
	cache.Close()
	if err := log.Flush(); err != nil {
		panic(err)
	}

	records, err := replay.ReadKeyLog(&file)
	if err != nil {
		panic(err)
	}
	for _, p := range replay.Replay(records, replay.Config{Entries: true}, 1, 10) {
		fmt.Printf("%2d entries: %.0f %% hits\n", p.Capacity, 100*p.HitRatio())
	}
	// Output:
	//  1 entries: 0 % hits
	// 10 entries: 99 % hits
}
