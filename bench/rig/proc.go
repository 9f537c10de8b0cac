package rig

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tree returns a process and all its descendants, the process first.
func Tree(pid int) ([]int, error) {
	parents, err := parents()
	if err != nil {
		return nil, err
	}
	if _, ok := parents[pid]; !ok {
		return nil, fmt.Errorf("no process %d", pid)
	}
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		for child, parent := range parents {
			if parent == tree[i] && !slices.Contains(tree, child) {
				tree = append(tree, child)
			}
		}
	}
	return tree, nil
}

// parents returns the parent of every process of the machine.
func parents() (map[int]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	all := make(map[int]int)
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		if all[pid], err = parseParent(string(stat)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parseParent reads the parent's PID from /proc/PID/stat (proc(5)): the second
// field after the program's name, which stands in parentheses and may itself
// hold spaces and parentheses.
func parseParent(stat string) (int, error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 2 {
		return 0, fmt.Errorf("malformed /proc/PID/stat: %q", stat)
	}
	return strconv.Atoi(fields[1])
}

// CPUTime returns the CPU time, user and system, that the processes have spent
// so far. It is what /proc/PID/stat shows as utime plus stime, but in
// nanoseconds instead of ticks of 10 ms: POSIX's CPU-time clock of another
// process, which counts threads that have ended too.
func CPUTime(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		var ts unix.Timespec
		if err := unix.ClockGettime(cpuClock(pid), &ts); err != nil {
			return 0, fmt.Errorf("CPU clock of process %d: %w", pid, err)
		}
		sum += time.Duration(ts.Nano())
	}
	return sum, nil
}

// Ticks is CPU time in the kernel's ticks of 10 ms, apart for the program and
// for what the kernel did in its name.
type Ticks struct{ User, System uint64 }

// TicksOf returns what /proc/PID/stat shows as utime and stime, summed over the
// processes: too coarse for a cost, good enough for a share of seconds.
func TicksOf(pids []int) (Ticks, error) {
	var sum Ticks
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return Ticks{}, err
		}
		t, err := parseTicks(string(stat))
		if err != nil {
			return Ticks{}, err
		}
		sum.User += t.User
		sum.System += t.System
	}
	return sum, nil
}

// parseTicks reads the twelfth and thirteenth field after the program's name.
func parseTicks(stat string) (Ticks, error) {
	end := strings.LastIndexByte(stat, ')')
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 13 {
		return Ticks{}, fmt.Errorf("malformed /proc/PID/stat: %q", stat)
	}
	user, err := strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return Ticks{}, err
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	return Ticks{User: user, System: system}, err
}

// cpuClock returns the id of a process's CPU-time clock as
// clock_getcpuclockid(3) makes it: the inverted PID above three bits, of which
// 2 (CPUCLOCK_SCHED) asks for the time as the scheduler counts it.
func cpuClock(pid int) int32 { return int32(^pid<<3 | 2) }

// Memory is what processes hold in RAM, in bytes.
type Memory struct {
	RSS int64 // pages in RAM; shared ones count once for each process
	PSS int64 // pages in RAM; shared ones divided by their users
}

// MemoryOf returns the sum over the processes, from /proc/PID/smaps_rollup.
// What the kernel holds for them (socket buffers, pipes) is in neither figure.
func MemoryOf(pids []int) (Memory, error) {
	var sum Memory
	for _, pid := range pids {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return Memory{}, err
		}
		rss, err := parseField(string(rollup), "Rss:")
		if err != nil {
			return Memory{}, err
		}
		pss, err := parseField(string(rollup), "Pss:")
		if err != nil {
			return Memory{}, err
		}
		sum.RSS += rss * 1024
		sum.PSS += pss * 1024
	}
	return sum, nil
}

// BytesRead returns how many bytes a process has read so far by read(2) and its
// kin, from sockets too: rchar of /proc/PID/io.
func BytesRead(pid int) (int64, error) {
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return 0, err
	}
	return parseField(string(io), "rchar:")
}

// parseField returns the first number after a label at the start of a line.
func parseField(text, label string) (int64, error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == label {
			return strconv.ParseInt(fields[1], 10, 64)
		}
	}
	return 0, fmt.Errorf("no line %q", label)
}
