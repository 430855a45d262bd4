// The contract tero:policy@0.2.0 for policies in Go. It comes with `tero policy new`, and `tero policy build` writes it again.
//
// A policy is a variable `policy` of the type Policy, in the same package:
//
//	var policy = Policy{Configure: configure, OnRequest: onRequest, OnResponse: onResponse}
//
// All texts of a question are parts of one string, which costs one allocation. They may be kept.
package main

import (
	"runtime"
	"strings"
	"unsafe"
)

// Policy has the functions of a policy. A function that is nil is never called.
type Policy struct {
	// Configure reads the settings, JSON text from the configuration. The operator reads the error.
	Configure func(settings []byte) (Manifest, error)
	// OnRequest decides about a request before the look-up.
	OnRequest func(request *Request, now *Moment) RequestDecision
	// OnResponse decides about a response before it is stored.
	OnResponse func(request *Request, response *Response, now *Moment) ResponseDecision
	// PlanWarm names the pages to fetch ahead of demand.
	PlanWarm func(plan string, popular []PopularPage, now *Moment) []WarmURL
}

// Some makes a value of a field that may be left out.
func Some[T any](value T) *T { return &value }

// ── What a policy is told ─────────────────────────────────────────────────────────────────────────

// Device is the device class of the visitor.
type Device uint8

const (
	Desktop Device = iota
	Mobile
	Tablet
	TV
	Bot
	UnknownDevice
)

// DeviceSource says how the device class was found.
type DeviceSource uint8

const (
	ClientHints DeviceSource = iota
	UserAgent
	NoSource
)

// Weekday is a day of the week.
type Weekday uint8

const (
	Monday Weekday = iota
	Tuesday
	Wednesday
	Thursday
	Friday
	Saturday
	Sunday
)

// Opening has minutes since local midnight.
type Opening struct{ FromMins, UntilMins uint16 }

// Holiday is a day of the policy's calendar: closed, or open for the hours of a half-day.
type Holiday struct {
	Name string
	Open *Opening
}

// NearbyHoliday is an entry of a day before or after today.
type NearbyHoliday struct {
	DaysAhead int8
	Holiday   Holiday
}

// OffsetChange is the next change of the zone's offset from UTC.
type OffsetChange struct {
	UnixSecs      uint64
	UTCOffsetMins int16
}

// Moment is the local time of the policy's zone. In OnRequest it is cut to the minute, and without a zone in the manifest it is
// the Unix epoch.
type Moment struct {
	UnixSecs             uint64
	Year                 uint16
	Month, Day           uint8
	Weekday              Weekday
	Hour, Minute, Second uint8
	UTCOffsetMins        int16
	NextOffsetChange     *OffsetChange
	Holiday              *Holiday
	NearbyHolidays       []NearbyHoliday
}

// Mins are the minutes since local midnight.
func (now *Moment) Mins() int { return int(now.Hour)*60 + int(now.Minute) }

// Field is a field of a request or a response, or a cookie.
type Field struct{ Name, Value string }

// Client is the client, as far as the manifest names it. An empty text and -1 mean that there is none.
type Client struct {
	Network, Country, Region string
	Bucket                   int
}

// Request has the inputs that the manifest names, and always Method, Scheme, Host and Path.
type Request struct {
	Method, Scheme, Host, Path string
	// Query is the query without the question mark; nil if there is none.
	Query        *string
	Headers      []Field
	Cookies      []Field
	Device       Device
	DeviceSource DeviceSource
	Client       Client
	// Route is the name of the route that matched, or empty.
	Route string
	// VariantName is the variant that the site's policies chose, in OnResponse.
	VariantName string
}

// Header is the first line of a field, by its name in lower case; empty if there is none.
func (request *Request) Header(name string) string { return find(request.Headers, name) }

// Cookie is the value of a cookie; empty if there is none.
func (request *Request) Cookie(name string) string { return find(request.Cookies, name) }

// Response is what the origin answered.
type Response struct {
	Status  uint16
	Headers []Field
	// Length is the length from Content-Length; nil if there is none.
	Length *uint64
	// HeaderTTLSecs is the freshness lifetime that the fields give a shared cache; nil if they give none.
	HeaderTTLSecs *uint32
	// HeaderBrowserTTLSecs is the freshness lifetime that the fields give a browser; nil if they give none.
	HeaderBrowserTTLSecs *uint32
	// KeyHash is a hash of the key under which the response will be stored.
	KeyHash uint64
}

// Header is the first line of a field, by its name in lower case; empty if there is none.
func (response *Response) Header(name string) string { return find(response.Headers, name) }

// PopularPage is a page that visitors requested.
type PopularPage struct {
	URL         string
	Requests    uint64
	VariantName string
}

func find(fields []Field, name string) string {
	for _, field := range fields {
		if field.Name == name {
			return field.Value
		}
	}
	return ""
}

// ── What a policy answers ─────────────────────────────────────────────────────────────────────────

// Abilities are what else a policy may do.
type Abilities uint8

const (
	Rewrites Abilities = 1 << iota
	Answers
	LogTags
	Admission
	ErrorTTL
	Expiries
)

// NetworkPrefix says how many bits of a client's address are told.
type NetworkPrefix struct{ IPv4, IPv6 uint8 }

// BucketRule says how visitors are divided into buckets.
type BucketRule struct {
	Experiment string
	Buckets    uint16
	// Cookie is a cookie of the application that stays with a visitor; empty for none.
	Cookie  string
	Network NetworkPrefix
}

// PathPatterns are the patterns by which decisions depend on the path, such as /shops/*. The edge asks once for all pages that the
// same patterns match, so a decision must hold for each of them.
type PathPatterns struct {
	Patterns []string
	// EachResponse says that OnResponse depends on a response's length and key hash too.
	EachResponse bool
}

// Manifest says what the decisions depend on, and what the policy may do. The hooks are those that Policy has.
type Manifest struct {
	Headers, Cookies, ResponseHeaders []string
	Query, Device, DeviceSource       bool
	// Zone is the IANA name of the zone whose time decisions depend on; empty for none.
	Zone                       string
	Network                    *NetworkPrefix
	Country, Region            bool
	Bucket                     *BucketRule
	Route                      bool
	Tables, Variants, KeyParts []string
	// QueryRules are rules that OnRequest may choose by their places.
	QueryRules                               []QueryRule
	Origins, RateClasses                     []string
	RequestEdits, ResponseEdits, StoredEdits []string
	Abilities                                Abilities
	// PathPatterns is nil if decisions depend on the whole path.
	PathPatterns *PathPatterns
}

// Lookup says whether a request is looked up. The zero value leaves it open.
type Lookup uint8

const (
	LookupOpen Lookup = iota
	Cache
	Pass
)

// QueryRule says which parameters count: those of Only, or all but those of Ignore.
type QueryRule struct {
	Ignore, Only []string
	Sort         bool
}

// KeyPart is a part of the key beyond the variant.
type KeyPart struct{ Name, Value string }

// Rewrite is what the origin is asked for instead. nil leaves the client's.
type Rewrite struct{ Path, Query *string }

// Edit sets a field, or removes it if Value is nil.
type Edit struct {
	Name  string
	Value *string
}

// Answer is an answer of the policy's own.
type Answer struct {
	Status uint16
	Fields []Field
	Body   string
}

// Redirect answers with a redirect.
func Redirect(status uint16, location string) *Answer {
	return &Answer{Status: status, Fields: []Field{{"location", location}}}
}

// RequestDecision is a decision about a request. What is left out is left to the next policy, and then to the engine.
type RequestDecision struct {
	Lookup      Lookup
	VariantName string
	Query       *QueryRule
	// QueryPlace chooses the rule at this place in the manifest; it costs less than Query.
	QueryPlace                  *uint8
	KeyParts                    []KeyPart
	Rewrite                     *Rewrite
	Origin                      string
	RequestEdits, ResponseEdits []Edit
	Answer                      *Answer
	LogTag, RateClass, Reason   string
}

// Storing says whether a response is stored. The zero value leaves it to the fields.
type Storing uint8

const (
	ByHeaders Storing = iota
	Never
	Always
)

// Expiry is the instant that ends a stored response, in seconds since the Unix epoch.
type Expiry struct {
	// Purges says that the response is purged then; otherwise it is stale from then on.
	Purges   bool
	UnixSecs uint64
}

// ResponseDecision is a decision about a response. What is left out is left to the next policy, and then to the fields.
type ResponseDecision struct {
	Storing                  Storing
	Admit                    *bool
	TTLSecs, ErrorTTLSecs    *uint32
	BrowserTTLSecs           *uint32
	StaleWhileRevalidateSecs *uint32
	StaleIfErrorSecs         *uint32
	Expiry                   *Expiry
	Edits                    []Edit
	Tags                     []string
	Reason                   string
}

// WarmURL is a page to fetch ahead of demand.
type WarmURL struct {
	URL      string
	Variants []string
	Priority uint8
}

// ── The log and the tables ────────────────────────────────────────────────────────────────────────

// Log writes a line to the operator's log.
func Log(message string) { hostLog(unsafe.Pointer(unsafe.StringData(message)), uint32(len(message))) }

// Get looks a key up in a data table of the manifest.
func Get(table, key string) (value string, found bool) {
	var raw rawOption[rawList]
	hostGet(data(table), uint32(len(table)), data(key), uint32(len(key)), unsafe.Pointer(&raw))
	return textAt(raw.value), raw.some == 1
}

// LongestPrefix finds the row with the longest key that text begins with; in a table of networks, the smallest network that
// contains it.
func LongestPrefix(table, text string) (key, value string, found bool) {
	var raw rawOption[[2]rawList]
	hostLongestPrefix(data(table), uint32(len(table)), data(text), uint32(len(text)), unsafe.Pointer(&raw))
	return textAt(raw.value[0]), textAt(raw.value[1]), raw.some == 1
}

//go:wasmimport $root log
func hostLog(text unsafe.Pointer, length uint32)

//go:wasmimport tero:policy/tables@0.2.0 get
func hostGet(table unsafe.Pointer, tableLength uint32, key unsafe.Pointer, keyLength uint32, result unsafe.Pointer)

//go:wasmimport tero:policy/tables@0.2.0 longest-prefix
func hostLongestPrefix(table unsafe.Pointer, tableLength uint32, text unsafe.Pointer, textLength uint32, result unsafe.Pointer)

//go:wasmimport wasi_snapshot_preview1 proc_exit
func trap(code uint32)

// ── The canonical ABI: Go lays structs of such fields out as the component model does ─────────────

type rawSpan struct{ start, length uint32 }
type rawList struct{ at, length uint32 }
type rawOption[T any] struct {
	some  uint8
	value T
}
type rawHoliday struct {
	name rawSpan
	open rawOption[Opening]
}
type rawNearby struct {
	daysAhead int8
	holiday   rawHoliday
}
type rawMoment struct {
	unixSecs                                  uint64
	year                                      uint16
	month, day, weekday, hour, minute, second uint8
	utcOffsetMins                             int16
	nextOffsetChange                          rawOption[OffsetChange]
	holiday                                   rawOption[rawHoliday]
	nearbyHolidays                            rawList
}
type rawClient struct {
	network, country, region rawOption[rawSpan]
	bucket                   rawOption[uint16]
}
type rawField struct{ name, value rawSpan }
type rawRequest struct {
	method, scheme, host, path rawSpan
	query                      rawOption[rawSpan]
	headers, cookies           rawList
	device, deviceSource       uint8
	client                     rawClient
	route, variantName         rawOption[rawSpan]
}
type rawResponse struct {
	status                              uint16
	headers                             rawList
	length                              rawOption[uint64]
	headerTTLSecs, headerBrowserTTLSecs rawOption[uint32]
	keyHash                             uint64
}
type rawPopular struct {
	url         rawSpan
	requests    uint64
	variantName rawOption[rawSpan]
}
type rawOnRequest struct {
	texts   rawList
	request rawRequest
	now     rawMoment
}
type rawOnResponse struct {
	texts    rawList
	request  rawRequest
	response rawResponse
	now      rawMoment
}
type rawPlanWarm struct {
	texts   rawList
	plan    rawSpan
	popular rawList
	now     rawMoment
}

type rawBucketRule struct {
	experiment rawList
	buckets    uint16
	cookie     rawOption[rawList]
	network    NetworkPrefix
}
type rawPathPatterns struct {
	patterns     rawList
	eachResponse bool
}
type rawManifest struct {
	hooks, headers, cookies, responseHeaders rawList
	query, device, deviceSource              bool
	zone                                     rawOption[rawList]
	network                                  rawOption[NetworkPrefix]
	country, region                          bool
	bucket                                   rawOption[rawBucketRule]
	route                                    bool
	tables, variants, queryRules, keyParts   rawList
	origins, rateClasses                     rawList
	requestEdits, responseEdits, storedEdits rawList
	abilities                                Abilities
	pathPatterns                             rawOption[rawPathPatterns]
}
type rawConfigured struct {
	failed uint8
	// The manifest, or the text of the error in its place.
	manifest rawManifest
}
type rawQueryRule struct {
	tag   uint8
	names rawList
	sort  bool
}

// The rule at a place (0), which lies where a rule (1) begins.
type rawQueryChoice struct {
	tag  uint8
	rule rawQueryRule
}
type rawPair struct{ name, value rawList }
type rawEdit struct {
	name  rawList
	value rawOption[rawList]
}
type rawRewrite struct{ path, query rawOption[rawList] }
type rawAnswer struct {
	status uint16
	fields rawList
	body   rawList
}
type rawRequestDecision struct {
	lookup                      rawOption[uint8]
	variantName                 rawOption[rawList]
	query                       rawOption[rawQueryChoice]
	keyParts                    rawList
	rewrite                     rawOption[rawRewrite]
	origin                      rawOption[rawList]
	requestEdits, responseEdits rawList
	answer                      rawOption[rawAnswer]
	logTag, rateClass, reason   rawOption[rawList]
}
type rawExpiry struct {
	tag      uint8
	unixSecs uint64
}
type rawResponseDecision struct {
	storing                  uint8
	admit                    rawOption[bool]
	ttlSecs, errorTTLSecs    rawOption[uint32]
	browserTTLSecs           rawOption[uint32]
	staleWhileRevalidateSecs rawOption[uint32]
	staleIfErrorSecs         rawOption[uint32]
	expiry                   rawOption[rawExpiry]
	edits, tags              rawList
	reason                   rawOption[rawList]
}
type rawWarmURL struct {
	url, variants rawList
	priority      uint8
}

// What the engine reads or writes until a call has ended.
var kept []any

// The texts of the question.
var texts string

func keep[T any](value *T) *T {
	kept = append(kept, value)
	return value
}

func data(text string) unsafe.Pointer { return unsafe.Pointer(unsafe.StringData(text)) }

func addressOf(pointer unsafe.Pointer) uint32 { return uint32(uintptr(pointer)) }

func at[T any](address uint32) *T {
	return (*T)(*(*unsafe.Pointer)(unsafe.Pointer(&[]uintptr{uintptr(address)}[0])))
}

func textAt(list rawList) string {
	if list.length == 0 {
		return ""
	}
	return unsafe.String(at[byte](list.at), int(list.length))
}

func itemsAt[T any](list rawList) []T {
	if list.length == 0 {
		return nil
	}
	return unsafe.Slice(at[T](list.at), int(list.length))
}

func (span rawSpan) text() string { return texts[span.start : span.start+span.length] }

func optionalText(option rawOption[rawSpan]) string {
	if option.some == 0 {
		return ""
	}
	return option.value.text()
}

func optional[T any](option rawOption[T]) *T {
	if option.some == 0 {
		return nil
	}
	value := option.value
	return &value
}

func fieldsOf(list rawList) []Field {
	raw := itemsAt[rawField](list)
	fields := make([]Field, len(raw))
	for index, field := range raw {
		fields[index] = Field{field.name.text(), field.value.text()}
	}
	return fields
}

func (raw *rawRequest) lift() *Request {
	request := &Request{
		Method: raw.method.text(), Scheme: raw.scheme.text(), Host: raw.host.text(), Path: raw.path.text(),
		Headers: fieldsOf(raw.headers), Cookies: fieldsOf(raw.cookies),
		Device: Device(raw.device), DeviceSource: DeviceSource(raw.deviceSource),
		Client: Client{optionalText(raw.client.network), optionalText(raw.client.country), optionalText(raw.client.region), -1},
		Route:  optionalText(raw.route), VariantName: optionalText(raw.variantName),
	}
	if raw.query.some == 1 {
		request.Query = Some(raw.query.value.text())
	}
	if raw.client.bucket.some == 1 {
		request.Client.Bucket = int(raw.client.bucket.value)
	}
	return request
}

func (raw *rawResponse) lift() *Response {
	return &Response{
		raw.status, fieldsOf(raw.headers), optional(raw.length), optional(raw.headerTTLSecs), optional(raw.headerBrowserTTLSecs), raw.keyHash,
	}
}

func (raw *rawHoliday) lift() Holiday { return Holiday{raw.name.text(), optional(raw.open)} }

func (raw *rawMoment) lift() *Moment {
	now := &Moment{
		UnixSecs: raw.unixSecs, Year: raw.year, Month: raw.month, Day: raw.day, Weekday: Weekday(raw.weekday),
		Hour: raw.hour, Minute: raw.minute, Second: raw.second, UTCOffsetMins: raw.utcOffsetMins,
		NextOffsetChange: optional(raw.nextOffsetChange),
	}
	if raw.holiday.some == 1 {
		now.Holiday = Some(raw.holiday.value.lift())
	}
	for _, near := range itemsAt[rawNearby](raw.nearbyHolidays) {
		now.NearbyHolidays = append(now.NearbyHolidays, NearbyHoliday{near.daysAhead, near.holiday.lift()})
	}
	return now
}

func lowerText(text string) rawList {
	keep(&text)
	return rawList{addressOf(data(text)), uint32(len(text))}
}

func lowerItems[T any](items []T) rawList {
	keep(&items)
	return rawList{addressOf(unsafe.Pointer(unsafe.SliceData(items))), uint32(len(items))}
}

func lowerEach[T, R any](items []T, lower func(T) R) rawList {
	raw := make([]R, len(items))
	for index, item := range items {
		raw[index] = lower(item)
	}
	return lowerItems(raw)
}

func lowerTexts(items []string) rawList { return lowerEach(items, lowerText) }

// An empty text is none.
func lowerOptionalText(text string) (option rawOption[rawList]) {
	if text != "" {
		option = rawOption[rawList]{1, lowerText(text)}
	}
	return
}

func lowerOption[T, R any](value *T, lower func(T) R) (option rawOption[R]) {
	if value != nil {
		option = rawOption[R]{1, lower(*value)}
	}
	return
}

func same[T any](value T) T { return value }

func lowerPair(pair Field) rawPair { return rawPair{lowerText(pair.Name), lowerText(pair.Value)} }

func lowerEdit(edit Edit) rawEdit {
	return rawEdit{lowerText(edit.Name), lowerOption(edit.Value, lowerText)}
}

func lowerManifest(manifest Manifest) rawManifest {
	var hooks []uint8
	for hook, has := range []bool{policy.OnRequest != nil, policy.OnResponse != nil, policy.PlanWarm != nil} {
		if has {
			hooks = append(hooks, uint8(hook))
		}
	}
	return rawManifest{
		hooks: lowerItems(hooks), headers: lowerTexts(manifest.Headers), cookies: lowerTexts(manifest.Cookies),
		responseHeaders: lowerTexts(manifest.ResponseHeaders), query: manifest.Query, device: manifest.Device,
		deviceSource: manifest.DeviceSource, zone: lowerOptionalText(manifest.Zone), network: lowerOption(manifest.Network, same),
		country: manifest.Country, region: manifest.Region,
		bucket: lowerOption(manifest.Bucket, func(rule BucketRule) rawBucketRule {
			return rawBucketRule{lowerText(rule.Experiment), rule.Buckets, lowerOptionalText(rule.Cookie), rule.Network}
		}),
		route: manifest.Route, tables: lowerTexts(manifest.Tables), variants: lowerTexts(manifest.Variants), queryRules: lowerEach(manifest.QueryRules, lowerQueryRule),
		keyParts: lowerTexts(manifest.KeyParts), origins: lowerTexts(manifest.Origins), rateClasses: lowerTexts(manifest.RateClasses),
		requestEdits: lowerTexts(manifest.RequestEdits), responseEdits: lowerTexts(manifest.ResponseEdits),
		storedEdits: lowerTexts(manifest.StoredEdits), abilities: manifest.Abilities,
		pathPatterns: lowerOption(manifest.PathPatterns, func(paths PathPatterns) rawPathPatterns {
			return rawPathPatterns{lowerTexts(paths.Patterns), paths.EachResponse}
		}),
	}
}

func lowerQueryRule(rule QueryRule) rawQueryRule {
	switch {
	case rule.Only != nil:
		return rawQueryRule{2, lowerTexts(rule.Only), rule.Sort}
	case rule.Ignore != nil:
		return rawQueryRule{1, lowerTexts(rule.Ignore), rule.Sort}
	}
	return rawQueryRule{sort: rule.Sort}
}

func lowerRequestDecision(decision RequestDecision) *rawRequestDecision {
	raw := &rawRequestDecision{
		variantName: lowerOptionalText(decision.VariantName), query: lowerOption(decision.Query, func(rule QueryRule) rawQueryChoice { return rawQueryChoice{1, lowerQueryRule(rule)} }),
		keyParts: lowerEach(decision.KeyParts, func(part KeyPart) rawPair { return lowerPair(Field(part)) }),
		rewrite: lowerOption(decision.Rewrite, func(rewrite Rewrite) rawRewrite {
			return rawRewrite{lowerOption(rewrite.Path, lowerText), lowerOption(rewrite.Query, lowerText)}
		}),
		origin:        lowerOptionalText(decision.Origin),
		requestEdits:  lowerEach(decision.RequestEdits, lowerEdit),
		responseEdits: lowerEach(decision.ResponseEdits, lowerEdit),
		answer: lowerOption(decision.Answer, func(answer Answer) rawAnswer {
			return rawAnswer{answer.Status, lowerEach(answer.Fields, lowerPair), lowerText(answer.Body)}
		}),
		logTag: lowerOptionalText(decision.LogTag), rateClass: lowerOptionalText(decision.RateClass),
		reason: lowerOptionalText(decision.Reason),
	}
	if decision.QueryPlace != nil {
		raw.query = rawOption[rawQueryChoice]{1, rawQueryChoice{0, rawQueryRule{tag: *decision.QueryPlace}}}
	}
	if decision.Lookup != LookupOpen {
		raw.lookup = rawOption[uint8]{1, uint8(decision.Lookup) - 1}
	}
	return raw
}

func lowerResponseDecision(decision ResponseDecision) *rawResponseDecision {
	return &rawResponseDecision{
		storing: uint8(decision.Storing), admit: lowerOption(decision.Admit, same),
		ttlSecs: lowerOption(decision.TTLSecs, same), errorTTLSecs: lowerOption(decision.ErrorTTLSecs, same),
		browserTTLSecs:           lowerOption(decision.BrowserTTLSecs, same),
		staleWhileRevalidateSecs: lowerOption(decision.StaleWhileRevalidateSecs, same),
		staleIfErrorSecs:         lowerOption(decision.StaleIfErrorSecs, same),
		expiry: lowerOption(decision.Expiry, func(expiry Expiry) rawExpiry {
			if expiry.Purges {
				return rawExpiry{0, expiry.UnixSecs}
			}
			return rawExpiry{1, expiry.UnixSecs}
		}),
		edits: lowerEach(decision.Edits, lowerEdit), tags: lowerTexts(decision.Tags), reason: lowerOptionalText(decision.Reason),
	}
}

// explain logs what was thrown, with its place, and ends the call: a trap alone does not name its cause.
func explain() {
	thrown := recover()
	if thrown == nil {
		return
	}
	message := "panic"
	switch thrown := thrown.(type) {
	case error:
		message = thrown.Error()
	case string:
		message = thrown
	}
	callers := make([]uintptr, 32)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	for more := true; more; {
		var frame runtime.Frame
		frame, more = frames.Next()
		if strings.HasPrefix(frame.Function, "main.") && !strings.HasSuffix(frame.File, "/tero.go") {
			message += ", at " + frame.File[strings.LastIndexByte(frame.File, '/')+1:] + ":" + decimal(frame.Line)
			break
		}
	}
	Log(message)
	trap(1)
}

func decimal(number int) string {
	if number < 10 {
		return string(rune('0' + number))
	}
	return decimal(number/10) + string(rune('0'+number%10))
}

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldLength, align, length uint32) unsafe.Pointer {
	words := make([]uint64, (length+7)/8+1)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), length), unsafe.Slice((*byte)(old), oldLength))
	keep(&words)
	return unsafe.Pointer(&words[0])
}

//go:wasmexport configure
func exportConfigure(settings unsafe.Pointer, length uint32) unsafe.Pointer {
	defer explain()
	manifest, refusal := policy.Configure(unsafe.Slice((*byte)(settings), length))
	raw := keep(&rawConfigured{})
	if refusal != nil {
		raw.failed = 1
		*(*rawList)(unsafe.Pointer(&raw.manifest)) = lowerText(refusal.Error())
	} else {
		raw.manifest = lowerManifest(manifest)
	}
	return unsafe.Pointer(raw)
}

//go:wasmexport on-request
func exportOnRequest(question unsafe.Pointer) unsafe.Pointer {
	defer explain()
	raw := (*rawOnRequest)(question)
	texts = textAt(raw.texts)
	var decision RequestDecision
	if policy.OnRequest != nil {
		decision = policy.OnRequest(raw.request.lift(), raw.now.lift())
	}
	return unsafe.Pointer(keep(lowerRequestDecision(decision)))
}

//go:wasmexport on-response
func exportOnResponse(question unsafe.Pointer) unsafe.Pointer {
	defer explain()
	raw := (*rawOnResponse)(question)
	texts = textAt(raw.texts)
	var decision ResponseDecision
	if policy.OnResponse != nil {
		decision = policy.OnResponse(raw.request.lift(), raw.response.lift(), raw.now.lift())
	}
	return unsafe.Pointer(keep(lowerResponseDecision(decision)))
}

//go:wasmexport plan-warm
func exportPlanWarm(question unsafe.Pointer) unsafe.Pointer {
	defer explain()
	raw := (*rawPlanWarm)(question)
	texts = textAt(raw.texts)
	var popular []PopularPage
	for _, page := range itemsAt[rawPopular](raw.popular) {
		popular = append(popular, PopularPage{page.url.text(), page.requests, optionalText(page.variantName)})
	}
	var pages []WarmURL
	if policy.PlanWarm != nil {
		pages = policy.PlanWarm(raw.plan.text(), popular, raw.now.lift())
	}
	list := lowerEach(pages, func(page WarmURL) rawWarmURL {
		return rawWarmURL{lowerText(page.URL), lowerTexts(page.Variants), page.Priority}
	})
	return unsafe.Pointer(keep(&list))
}

func letGo() {
	clear(kept)
	kept, texts = kept[:0], ""
}

//go:wasmexport cabi_post_configure
func postConfigure(unsafe.Pointer) { letGo() }

//go:wasmexport cabi_post_on-request
func postOnRequest(unsafe.Pointer) { letGo() }

//go:wasmexport cabi_post_on-response
func postOnResponse(unsafe.Pointer) { letGo() }

//go:wasmexport cabi_post_plan-warm
func postPlanWarm(unsafe.Pointer) { letGo() }

func main() {}
