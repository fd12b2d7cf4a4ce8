// Package llbsolver starts cache exports as BuildKit does: a goroutine for each, and one that waits for all.
package llbsolver

import (
	"sync"

	"github.com/moby/buildkit/cache/remotecache"
	v1 "github.com/moby/buildkit/cache/remotecache/v1"
)

// Solve runs the exports of one build.
func Solve(scenario string, exports int, url string) {
	runCacheExporters(scenario, exports, url)
}

func runCacheExporters(scenario string, exports int, url string) {
	var group sync.WaitGroup
	lock := &sync.Mutex{}
	for n := 0; n < exports; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			remotecache.New(&v1.CacheChains{Diamonds: 60, Lock: lock}, url).Finalize(scenario)
		}()
	}
	group.Wait()
}
