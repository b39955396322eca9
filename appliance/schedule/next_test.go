package schedule

import (
	"testing"
	"time"

	"aula/appliance/catalog"
)

func in(t *testing.T, zone string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func utc(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

var everyDay = []time.Weekday{0, 1, 2, 3, 4, 5, 6}

func TestNext(t *testing.T) {
	t.Parallel()
	weekly := func(at, zone string, days ...time.Weekday) catalog.Schedule {
		return catalog.Schedule{Days: days, At: at, Zone: zone}
	}
	christmas := []catalog.Holiday{{First: "2026-12-24", Last: "2027-01-06"}}
	free := weekly("07:00", "Europe/Madrid", everyDay...)
	free.Free = true
	off := weekly("07:00", "Europe/Madrid", everyDay...)
	off.Off = true
	for name, c := range map[string]struct {
		schedule catalog.Schedule
		holidays []catalog.Holiday
		after    string
		want     string // empty: never
	}{
		"later today":                            {weekly("07:00", "Europe/Madrid", everyDay...), nil, "2026-11-23 05:59", "2026-11-23 06:00"},
		"due now is over":                        {weekly("07:00", "Europe/Madrid", everyDay...), nil, "2026-11-23 06:00", "2026-11-24 06:00"},
		"on Friday":                              {weekly("07:00", "Europe/Madrid", time.Friday), nil, "2026-11-23 05:59", "2026-11-27 06:00"},
		"in the server's zone":                   {weekly("07:00", "", everyDay...), nil, "2026-11-22 23:00", "2026-11-23 12:00"},
		"today there, yesterday here":            {weekly("07:00", "Asia/Tokyo", time.Monday), nil, "2026-11-22 21:00", "2026-11-22 22:00"},
		"the hour that is left out in spring":    {weekly("02:30", "Europe/Madrid", everyDay...), nil, "2026-03-28 12:00", "2026-03-29 01:00"},
		"the day after it":                       {weekly("02:30", "Europe/Madrid", everyDay...), nil, "2026-03-29 01:00", "2026-03-30 00:30"},
		"the hour that comes twice in autumn":    {weekly("02:30", "Europe/Madrid", everyDay...), nil, "2026-10-24 12:00", "2026-10-25 00:30"},
		"not the second time":                    {weekly("02:30", "Europe/Madrid", everyDay...), nil, "2026-10-25 00:30", "2026-10-26 01:30"},
		"the moment at which the hour ends":      {weekly("03:00", "Europe/Madrid", everyDay...), nil, "2026-10-24 12:00", "2026-10-25 02:00"},
		"a midnight that is left out":            {weekly("00:00", "Africa/Cairo", everyDay...), nil, "2026-04-23 12:00", "2026-04-23 22:00"},
		"a day that is left out":                 {weekly("07:00", "Pacific/Apia", time.Friday), nil, "2011-12-29 12:00", "2011-12-30 10:00"},
		"after the holidays":                     {weekly("07:00", "Europe/Madrid", everyDay...), christmas, "2026-12-23 07:00", "2027-01-07 06:00"},
		"holidays are of the zone":               {weekly("07:00", "Asia/Tokyo", everyDay...), christmas, "2026-12-22 23:00", "2027-01-06 22:00"},
		"also on holidays":                       {free, christmas, "2026-12-23 07:00", "2026-12-24 06:00"},
		"nothing but holidays":                   {weekly("07:00", "Europe/Madrid", everyDay...), []catalog.Holiday{{First: "2026-01-01", Last: "2040-01-01"}}, "2026-12-23 07:00", ""},
		"off":                                    {off, nil, "2026-12-23 07:00", ""},
		"once, to come":                          {catalog.Schedule{Once: utc(t, "2026-12-25 07:00")}, christmas, "2026-12-23 07:00", "2026-12-25 07:00"},
		"once, over":                             {catalog.Schedule{Once: utc(t, "2026-12-25 07:00")}, nil, "2026-12-25 07:00", ""},
		"a zone that this version does not know": {weekly("07:00", "Mars/Olympus", everyDay...), nil, "2026-12-25 07:00", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := Next(c.schedule, c.holidays, utc(t, c.after), in(t, "America/New_York"))
			if !ok && c.want == "" {
				return
			}
			if c.want == "" || !ok || !got.Equal(utc(t, c.want)) {
				t.Errorf("got %v, %v, want %s", got.UTC(), ok, c.want)
			}
		})
	}
}

// TestNextIsTheFirstMinuteThatShowsTheTime compares Next with a look at the clock of each minute of two years.
func TestNextIsTheFirstMinuteThatShowsTheTime(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"Europe/Madrid", "America/Santiago", "Australia/Lord_Howe", "Asia/Kolkata"} {
		for _, at := range []string{"00:00", "02:00", "02:15", "02:45", "12:00"} {
			loc := in(t, zone)
			s := catalog.Schedule{Days: everyDay, At: at, Zone: zone}
			after := time.Date(2026, 1, 1, 12, 0, 0, 0, loc)
			day := ""
			for minute := after.Add(time.Minute); minute.Year() < 2028; minute = minute.Add(time.Minute) {
				wall := minute.In(loc)
				_, before := minute.Add(-time.Minute).In(loc).Zone()
				_, offset := wall.Zone()
				shown := wall.Format("15:04") == at && wall.Format(time.DateOnly) != day
				if gap := time.Duration(offset-before) * time.Second; gap > 0 { // what it leaves out ends here
					from := minute.In(time.FixedZone("", before)).Format("15:04")
					shown = shown || from <= at && at < wall.Format("15:04") || from > wall.Format("15:04") && at >= from
				}
				if !shown {
					continue
				}
				got, ok := Next(s, nil, after, time.UTC)
				if !ok || !got.Equal(minute) {
					t.Fatalf("%s in %s after %v: got %v, want %v", at, zone, after, got, wall)
				}
				after, day = minute, wall.Format(time.DateOnly)
			}
		}
	}
}
