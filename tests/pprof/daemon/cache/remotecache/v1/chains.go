// Package cacheimport has functions with the names of BuildKit's exporter, and work of the same kind.
package cacheimport

import (
	"sync"
	"time"
)

type CacheChains struct {
	Diamonds int
	Lock     *sync.Mutex
}

type normalizeState struct {
	children map[int][]int
	calls    int
}

type item struct {
	children []*item
}

// Marshal walks every path, as the exporter did up to v0.24.
func (c *CacheChains) Marshal() int {
	return c.normalize()
}

func (c *CacheChains) normalize() int {
	s := &normalizeState{children: map[int][]int{}}
	for n := 0; n < 3*c.Diamonds; n += 3 {
		s.children[n] = []int{n + 1, n + 2}
		s.children[n+1] = []int{n + 3}
		s.children[n+2] = []int{n + 3}
	}
	s.removeLoops()
	return s.calls
}

func (s *normalizeState) removeLoops() {
	s.checkLoops(0, map[int]struct{}{})
}

func (s *normalizeState) checkLoops(at int, visited map[int]struct{}) {
	s.calls++
	visited[at] = struct{}{}
	defer func() {
		delete(visited, at)
	}()
	for _, child := range s.children[at] {
		if _, ok := visited[child]; !ok {
			s.checkLoops(child, visited)
		}
	}
}

// Add walks all descendants again and again, as the exporter does from v0.25 on.
func (c *CacheChains) Add() {
	root := &item{}
	for at, n := root, 0; n < 3000; n++ {
		at.children = append(at.children, &item{})
		at = at.children[0]
	}
	for {
		seen := map[*item]struct{}{}
		root.walkChildren(func(*item) {}, seen)
	}
}

func (it *item) walkChildren(each func(*item), visited map[*item]struct{}) {
	if _, ok := visited[it]; ok {
		return
	}
	visited[it] = struct{}{}
	each(it)
	for _, child := range it.children {
		child.walkChildren(each, visited)
	}
}

// Wait waits for a lock that is never given back.
func (c *CacheChains) Wait() {
	c.Lock.Lock()
	time.Sleep(time.Hour)
}
