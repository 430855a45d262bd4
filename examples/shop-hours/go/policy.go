// Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never past the next opening or
// closing. Phones get their own pages. Private pages pass: they are neither looked up nor stored.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

var policy = Policy{Configure: configure, OnRequest: onRequest, OnResponse: onResponse}

var settings struct {
	Zone, Open, Close, Private string
}

// Minutes since midnight.
var opens, closes int

// The operator reads the error, and the configuration is refused.
func configure(text []byte) (Manifest, error) {
	reader := json.NewDecoder(bytes.NewReader(text))
	reader.DisallowUnknownFields()
	if err := reader.Decode(&settings); err != nil {
		return Manifest{}, err
	}
	if settings.Zone == "" || settings.Private == "" {
		return Manifest{}, errors.New("`zone` and `private` must be texts")
	}
	var err error
	if opens, err = minutes("open", settings.Open); err != nil {
		return Manifest{}, err
	}
	if closes, err = minutes("close", settings.Close); err != nil {
		return Manifest{}, err
	}
	if closes <= opens {
		return Manifest{}, errors.New("`close` is not after `open`")
	}
	return Manifest{Device: true, Zone: settings.Zone, Variants: []string{"mobile"}}, nil
}

func onRequest(request *Request, now *Moment) RequestDecision {
	if strings.HasPrefix(request.Path, settings.Private) {
		return RequestDecision{Lookup: Pass, Reason: "private"}
	}
	if request.Device == Mobile {
		return RequestDecision{VariantName: "mobile"}
	}
	return RequestDecision{}
}

func onResponse(request *Request, response *Response, now *Moment) ResponseDecision {
	if strings.HasPrefix(request.Path, settings.Private) {
		return ResponseDecision{Storing: Never, Reason: "private"}
	}
	if response.Status != 200 {
		return ResponseDecision{}
	}
	open, close := hours(now)
	ttl, reason := 30*60, "closed"
	if mins := now.Mins(); open <= mins && mins < close {
		ttl, reason = min(2*60, secondsUntil(now, close)), "open"
	} else if mins < open {
		ttl = min(ttl, secondsUntil(now, open))
	}
	return ResponseDecision{
		Storing: Always, TTLSecs: Some(uint32(ttl)), StaleIfErrorSecs: Some(uint32(86_400)), Tags: []string{"pages"}, Reason: reason,
	}
}

// Today's hours: no hours on a holiday, and those of the calendar on a half-day.
func hours(now *Moment) (open, close int) {
	switch {
	case now.Holiday == nil:
		return opens, closes
	case now.Holiday.Open == nil:
		return 0, 0
	}
	return int(now.Holiday.Open.FromMins), int(now.Holiday.Open.UntilMins)
}

// Seconds until a later minute of today, exact also in the night when the clocks change.
func secondsUntil(now *Moment, minute int) int {
	secs := (minute-now.Mins())*60 - int(now.Second)
	change := now.NextOffsetChange
	if change == nil || change.UnixSecs >= now.UnixSecs+uint64(secs) {
		return secs
	}
	return max(secs-int(change.UTCOffsetMins-now.UTCOffsetMins)*60, 0)
}

func minutes(name, text string) (int, error) {
	clock, err := time.Parse("15:04", text)
	if err != nil || len(text) != 5 {
		return 0, fmt.Errorf("`%s` is not a time of day: write \"09:00\"", name)
	}
	return clock.Hour()*60 + clock.Minute(), nil
}
