// A stand-in for a buildkitd: it serves net/http/pprof on a free port, which it prints, and exports caches forever.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"strconv"
	"time"

	"github.com/moby/buildkit/solver/llbsolver"
)

func main() {
	exports, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	runtime.SetMutexProfileFraction(1)
	runtime.SetBlockProfileRate(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	address := listener.Addr().String()
	http.HandleFunc("/silent", func(http.ResponseWriter, *http.Request) { time.Sleep(time.Hour) })
	go llbsolver.Solve(os.Args[1], exports, "http://"+address+"/silent")
	fmt.Println(address)
	panic(http.Serve(listener, nil))
}
