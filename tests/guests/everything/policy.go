package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

var policy = Policy{Configure: configure, OnRequest: onRequest, OnResponse: onResponse, PlanWarm: planWarm}

const until = 2_000_000_000

func configure([]byte) (Manifest, error) {
	return Manifest{
		Headers: []string{"x-a"}, Cookies: []string{"c"}, ResponseHeaders: []string{"etag"}, Query: true, Device: true, DeviceSource: true,
		Zone: "America/Argentina/Buenos_Aires", Network: &NetworkPrefix{16, 40}, Country: true, Region: true,
		Bucket: &BucketRule{"e", 7, "v", NetworkPrefix{24, 48}}, Route: true, Tables: []string{"t"}, Variants: []string{"a"},
		QueryRules: []QueryRule{{Ignore: []string{"utm_*"}, Sort: true}}, KeyParts: []string{"k"}, Origins: []string{"o"},
		RateClasses: []string{"r"}, RequestEdits: []string{"x-q", "x-r"}, ResponseEdits: []string{"x-s"}, StoredEdits: []string{"x-t"},
		Abilities: Rewrites | Answers | LogTags | Admission | ErrorTTL | Expiries,
		PathPatterns: &PathPatterns{[]string{"/all", "/answer", "/rule"}, true},
	}, nil
}

func told(parts ...any) string {
	var out []string
	for _, part := range parts {
		switch part := part.(type) {
		case string:
			if part == "" {
				part = "-"
			}
			out = append(out, part)
		case *string:
			out = append(out, pointed(part))
		case *uint64:
			out = append(out, pointed(part))
		case *uint32:
			out = append(out, pointed(part))
		default:
			out = append(out, fmt.Sprint(part))
		}
	}
	return strings.Join(out, " ")
}

func pointed[T any](value *T) string {
	if value == nil {
		return "-"
	}
	return fmt.Sprint(*value)
}

// The number of characters and one, or none.
func length(text string, more int) string {
	if text == "" {
		return ""
	}
	return fmt.Sprint(utf8.RuneCountInString(text) + more)
}

func onRequest(request *Request, now *Moment) RequestDecision {
	switch request.Path {
	case "/answer":
		return RequestDecision{Answer: &Answer{410, []Field{{"x-u", "1"}}, "hóla"}}
	case "/rule":
		return RequestDecision{Query: &QueryRule{Only: []string{"a"}}}
	case "/all":
	default:
		return RequestDecision{}
	}
	bucket, holiday, nearby := "-", "", 0
	if request.Client.Bucket >= 0 {
		bucket = fmt.Sprint(request.Client.Bucket)
	}
	if now.Holiday != nil {
		holiday = length(now.Holiday.Name, 0)
	}
	if len(now.NearbyHolidays) > 0 {
		nearby = 1
	}
	row, _ := Get("t", "/all")
	key, _, _ := LongestPrefix("t", "/all/x")
	client := request.Client
	return RequestDecision{
		Lookup: Cache, VariantName: "a", QueryPlace: Some(uint8(0)), KeyParts: []KeyPart{{"k", bucket}},
		Rewrite: &Rewrite{Some("/rewritten"), Some("q=1")}, Origin: "o", RequestEdits: []Edit{{"x-q", Some("1")}, {"x-r", nil}},
		ResponseEdits: []Edit{{"x-s", Some("2")}}, LogTag: "tag", RateClass: "r",
		Reason: told(request.Method, request.Scheme, request.Host, request.Path, request.Query, length(request.Header("x-a"), 1),
			request.Cookie("c"), request.Device, request.DeviceSource, client.Network, client.Country, client.Region, bucket, request.Route,
			row, key, now.Weekday, fmt.Sprintf("%d:%d", now.Hour, now.Minute), holiday, nearby),
	}
}

func onResponse(request *Request, response *Response, now *Moment) ResponseDecision {
	reason := told(response.Status, response.Header("etag"), response.Length, response.HeaderTTLSecs, response.HeaderBrowserTTLSecs,
		request.VariantName, now.Second)
	secs := func(secs uint32) *uint32 { return &secs }
	switch response.Status {
	case 404:
		return ResponseDecision{Storing: Never, Expiry: &Expiry{false, until}, Reason: reason}
	case 200:
		return ResponseDecision{
			Storing: Always, Admit: Some(false), TTLSecs: secs(1), ErrorTTLSecs: secs(2), BrowserTTLSecs: secs(3),
			StaleWhileRevalidateSecs: secs(4), StaleIfErrorSecs: secs(5), Expiry: &Expiry{true, until},
			Edits: []Edit{{"x-t", Some("3")}}, Tags: []string{"t1", "t2"}, Reason: reason,
		}
	}
	return ResponseDecision{}
}

func planWarm(plan string, popular []PopularPage, now *Moment) []WarmURL {
	first := popular[0]
	url := fmt.Sprintf("/%s%s/%d/%s/%d", plan, first.URL, first.Requests, first.VariantName, len(popular))
	return []WarmURL{{url, []string{"a", "mobile"}, 7}}
}
