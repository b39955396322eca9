package doctor

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// clockFacts are what the clocks of this machine say.
type clockFacts struct {
	now    time.Time
	rtc    time.Time // of the clock that goes on while the machine is off; zero when there is none
	synced bool      // the kernel is told the time by a time server's client
}

// earliest is before any machine can be that runs this program.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func testClock(_ context.Context, _ *machine) []Result {
	f := clockFacts{now: time.Now()}
	if seconds, err := strconv.ParseInt(word("/sys/class/rtc/rtc0/since_epoch"), 10, 64); err == nil {
		f.rtc = time.Unix(seconds, 0)
	}
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	f.synced = err == nil && t.Status&unix.STA_UNSYNC == 0
	return judgeClock(f)
}

func judgeClock(f clockFacts) []Result {
	const test = "clock"
	says := f.now.Format("2006-01-02 15:04 MST")
	set := "set it: sudo timedatectl set-ntp true, or without a time server: sudo timedatectl set-time 'YYYY-MM-DD HH:MM:SS'"
	off := f.now.Sub(f.rtc).Abs().Round(time.Minute)
	switch {
	case f.now.Before(earliest):
		return []Result{{test, Problem, says + ": wrong", set + ". Certificates are not valid at such times, and PCs refuse this server. If it is wrong again after a restart, the battery of the mainboard is empty"}}
	case f.now.After(earliest.AddDate(30, 0, 0)):
		return []Result{{test, Problem, says + ": wrong", set}}
	case !f.rtc.IsZero() && off >= 5*time.Minute:
		return []Result{{test, Warning, fmt.Sprintf("%s; the mainboard's clock is %s off", says, off), "write the time to it: sudo hwclock --systohc --utc; a difference of whole hours is one of time zones"}}
	case !f.synced:
		return []Result{{test, Warning, says + "; no time server keeps it right", "sudo timedatectl set-ntp true; without Internet, look at it from time to time: schedules start by it"}}
	default:
		return []Result{{test, OK, says + ", kept right by a time server", ""}}
	}
}
