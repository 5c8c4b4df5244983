package blob

import (
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// kind is a type of file that is accepted.
type kind struct {
	mime    string   // MIME type without parameters
	exts    []string // file name endings of this type, the usual one first
	picture bool     // shown inline; the content is checked and cleaned, and gets a thumbnail
}

// kinds is the whole allow-list. Types that can bring script into a page (HTML, SVG, XML) and
// programs are not in it; archives are stored as they are and never unpacked.
func kinds() []kind {
	return []kind{
		{mime: "image/jpeg", exts: []string{".jpg", ".jpeg", ".jpe", ".jfif"}, picture: true},
		{mime: "image/png", exts: []string{".png", ".apng"}, picture: true},
		{mime: "image/gif", exts: []string{".gif"}, picture: true},
		{mime: "image/webp", exts: []string{".webp"}, picture: true},
		{mime: "image/heic", exts: []string{".heic"}},
		{mime: "image/heif", exts: []string{".heif"}},
		{mime: "image/avif", exts: []string{".avif"}},
		{mime: "image/bmp", exts: []string{".bmp"}},
		{mime: "image/tiff", exts: []string{".tiff", ".tif"}},
		{mime: "application/pdf", exts: []string{".pdf"}},
		{mime: "text/plain", exts: []string{".txt", ".log", ".md", ".csv", ".asc", ".text"}},
		{mime: "text/csv", exts: []string{".csv", ".txt"}},
		{mime: "text/tab-separated-values", exts: []string{".tsv", ".txt"}},
		{mime: "text/rtf", exts: []string{".rtf"}},
		{mime: "text/vcard", exts: []string{".vcf"}},
		{mime: "text/calendar", exts: []string{".ics"}},
		{mime: "application/json", exts: []string{".json", ".txt"}},
		{mime: "application/vnd.openxmlformats-officedocument.wordprocessingml.document", exts: []string{".docx"}},
		{mime: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", exts: []string{".xlsx"}},
		{mime: "application/vnd.openxmlformats-officedocument.presentationml.presentation", exts: []string{".pptx"}},
		{mime: "application/msword", exts: []string{".doc"}},
		{mime: "application/vnd.ms-excel", exts: []string{".xls"}},
		{mime: "application/vnd.ms-powerpoint", exts: []string{".ppt"}},
		{mime: "application/vnd.oasis.opendocument.text", exts: []string{".odt"}},
		{mime: "application/vnd.oasis.opendocument.spreadsheet", exts: []string{".ods"}},
		{mime: "application/vnd.oasis.opendocument.presentation", exts: []string{".odp"}},
		{mime: "application/zip", exts: []string{".zip"}},
		{mime: "audio/mpeg", exts: []string{".mp3"}},
		{mime: "audio/mp4", exts: []string{".m4a", ".mp4"}},
		{mime: "audio/x-m4a", exts: []string{".m4a"}},
		{mime: "audio/aac", exts: []string{".aac"}},
		{mime: "audio/ogg", exts: []string{".ogg", ".oga", ".opus"}},
		{mime: "application/ogg", exts: []string{".ogg", ".oga", ".opus"}},
		{mime: "audio/wav", exts: []string{".wav"}},
		{mime: "audio/amr", exts: []string{".amr"}},
		{mime: "audio/flac", exts: []string{".flac"}},
		{mime: "video/mp4", exts: []string{".mp4", ".m4v"}},
		{mime: "video/quicktime", exts: []string{".mov"}},
		{mime: "video/webm", exts: []string{".webm"}},
		{mime: "video/3gpp", exts: []string{".3gp"}},
	}
}

// sniffLength is how many bytes of the start of a file decide its type.
const sniffLength = 3072

// sniff finds the type of a file from its start. allowed holds the account's own MIME types, such
// as image/*; empty means all of kinds.
func sniff(head []byte, allowed []string) (kind, bool) {
	mime, _, _ := strings.Cut(mimetype.Detect(head).String(), ";")
	for _, k := range kinds() {
		if k.mime == mime {
			return k, permitted(mime, allowed)
		}
	}
	return kind{}, false
}

func permitted(mime string, allowed []string) bool {
	for _, a := range allowed {
		if family, any := strings.CutSuffix(a, "*"); a == mime || (any && strings.HasPrefix(mime, family)) {
			return true
		}
	}
	return len(allowed) == 0
}

func kindOf(mime string) (kind, bool) {
	for _, k := range kinds() {
		if k.mime == mime {
			return k, true
		}
	}
	return kind{}, false
}
