// Goroutines on many threads that calculate, talk through channels, lock, sleep and read pipes, while the collector works. GO
package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

const workers = 8

type job struct {
	number int
	data   []byte
}

type result struct {
	number int
	sum    [32]byte
}

func fail(format string, args ...any) {
	fmt.Printf("FAIL: "+format+"\n", args...)
	os.Exit(1)
}

func data(number int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%d ", number), 1000+number%1000))
}

// A child that answers each line, over pipes of the poller.
func converse(stop chan struct{}, done *sync.WaitGroup) {
	defer done.Done()
	cat := exec.Command("cat")
	in, _ := cat.StdinPipe()
	out, _ := cat.StdoutPipe()
	if err := cat.Start(); err != nil {
		fail("cat: %v", err)
	}
	for round := 0; ; round++ {
		select {
		case <-stop:
			in.Close()
			if err := cat.Wait(); err != nil {
				fail("cat: %v", err)
			}
			return
		default:
		}
		said := fmt.Sprintf("round %d\n", round)
		fmt.Fprint(in, said)
		heard := make([]byte, len(said))
		if n, err := out.Read(heard); err != nil || string(heard[:n]) != said {
			fail("cat says %q, %v", heard[:n], err)
		}
		time.Sleep(time.Millisecond)
	}
}

func main() {
	runtime.GOMAXPROCS(4)
	jobs := make(chan job)
	results := make(chan result, workers)
	for worker := 0; worker < workers; worker++ {
		go func(locked bool) {
			if locked {
				runtime.LockOSThread()
			}
			for one := range jobs {
				time.Sleep(100 * time.Microsecond)
				results <- result{one.number, sha256.Sum256(one.data)}
			}
		}(worker%2 == 0)
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Add(1)
	go converse(stop, &others)
	ticks := time.NewTicker(time.Millisecond)
	expected := map[int][32]byte{}
	sent, done := 0, 0
	isOver := false
	for !isOver || len(expected) > 0 {
		for !isOver && len(expected) < 2*workers {
			sent++
			bytes := data(sent)
			expected[sent] = sha256.Sum256(bytes)
			go func(number int) { jobs <- job{number, bytes} }(sent)
		}
		select {
		case one := <-results:
			if expected[one.number] != one.sum {
				fail("result %d", one.number)
			}
			delete(expected, one.number)
			done++
			if done%100 == 0 {
				fmt.Println(done)
			}
		case <-ticks.C:
			_, err := os.Stat(os.Args[1])
			isOver = err == nil
		}
	}
	close(stop)
	others.Wait()
	fmt.Println("EXIT-SUCCESS")
}
