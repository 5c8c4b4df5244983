package api

import (
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/blob"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

// linkLifetime is how long an attachment's address is good for.
const linkLifetime = 10 * time.Minute

type fileView struct {
	File conversation.File `json:"file"`
}

type linkInput struct {
	ID        string `path:"id" format:"uuid"`
	Thumbnail bool   `query:"thumbnail" doc:"Of a picture: the small one"`
}

type linkOutput struct {
	Body struct {
		URL     string    `json:"url" doc:"Readable by whoever has it"`
		Expires time.Time `json:"expires" doc:"Not before this"`
	}
}

func (a *API) fileRoutes() {
	const tag = "files"
	a.uploadRoute(tag)
	register(a, op("file-url", http.MethodGet, "/files/{id}/url", tag, "Get a short-lived address of an attachment", directory.RoleAgent), directory.RoleAgent, a.fileURL)
}

// uploadRoute streams uploads to the store: the standard library's form parser would write them
// unencrypted to disk.
func (a *API) uploadRoute(tag string) {
	o := op("upload-file", http.MethodPost, "/conversations/{id}/files", tag,
		"Upload an attachment, to be named by a message that follows", directory.RoleAgent)
	o.Parameters = []*huma.Param{{Name: "id", In: "path", Required: true, Schema: &huma.Schema{Type: "string", Format: "uuid"}}}
	o.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"multipart/form-data": {Schema: &huma.Schema{
		Type: "object", Required: []string{"file"},
		Properties: map[string]*huma.Schema{"file": {Type: "string", Format: "binary"}},
	}}}}
	file := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[fileView](), true, "FileView")
	o.Responses["201"] = &huma.Response{Description: "Stored", Content: map[string]*huma.MediaType{"application/json": {Schema: file}}}
	a.huma.OpenAPI().AddOperation(&o)
	a.note(o, directory.RoleAgent, reflect.TypeFor[oneInput](), reflect.TypeFor[fileView]())
	gate := a.gate(directory.RoleAgent)
	a.huma.Adapter().Handle(&o, func(ctx huma.Context) {
		gate(ctx, func(ctx huma.Context) {
			r, w := humago.Unwrap(ctx)
			id, _ := auth.FromContext(r.Context())
			f, err := a.upload(r, id)
			if err == nil {
				_, err = a.sender(r.Context(), directory.RoleAgent)
			}
			if err != nil {
				WriteFault(w, a.fault(err, o.OperationID))
				return
			}
			writeJSON(w, http.StatusCreated, fileView{f})
		})
	})
}

func (a *API) upload(r *http.Request, id auth.Identity) (conversation.File, error) {
	info, err := a.readable(r.Context(), id, r.PathValue("id"))
	if err != nil {
		return conversation.File{}, err
	}
	switch {
	case info.State.Phase != conversation.PhaseOpen:
		return conversation.File{}, NewFault("ended")
	case !takesPart(id, &info.State) && !speaksAsSupervisor(id, &info.State):
		return conversation.File{}, NewFault("not_joined")
	case !info.State.Capabilities.Files || !a.filesOn(info.State.Service):
		return conversation.File{}, NewFault("unsupported")
	}
	part, err := filePart(r)
	if err != nil {
		return conversation.File{}, err
	}
	owner := blob.Owner{Conversation: info.State.ID, Uploader: id.User}
	if len(info.State.Endpoints) > 0 {
		owner.Account = info.State.Endpoints[0].Account
	}
	body := &sent{r: part}
	f, err := a.opts.Blobs.Put(r.Context(), owner, part.FileName(), part.Header.Get("Content-Type"), body)
	if _, large := errors.AsType[*http.MaxBytesError](err); err != nil && body.err != nil && !large {
		err = NewFault("malformed", Detail{Problem: "the upload was cut off, or its framing is broken"})
	}
	if errors.Is(err, blob.ErrNotFound) {
		err = NewFault("ended")
	}
	return f, err
}

// sent reads the body that the client sends and remembers the error when reading failed, so that a
// broken request can be told from a broken disk.
type sent struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (s *sent) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// filesOn reports whether the service lets its agents send files (W2); an unknown service does.
func (a *API) filesOn(id conversation.ServiceID) bool {
	svc, ok := a.opts.Directory.Snapshot().Service(id)
	return !ok || svc.Has(directory.FeatureFiles)
}

// filePart finds the part named file; what comes before it is skipped, up to
// a few parts.
func filePart(r *http.Request) (*multipart.Part, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return nil, NewFault("malformed", Detail{Problem: "must be multipart/form-data"})
	}
	for range 4 {
		part, err := form.NextPart()
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, NewFault("too_large")
		}
		if err != nil {
			break
		}
		if part.FormName() == "file" && part.FileName() != "" {
			return part, nil
		}
	}
	return nil, NewFault("malformed", Detail{"file", "must be a part with a file name"})
}

func (a *API) fileURL(ctx context.Context, id auth.Identity, in *linkInput) (*linkOutput, error) {
	file := conversation.BlobID(stream(in.ID))
	_, row, err := a.opts.Blobs.Info(ctx, file)
	if err != nil {
		return nil, err
	}
	if row.Conversation.IsZero() {
		return nil, NewFault("not_found")
	}
	info, err := a.readable(ctx, id, row.Conversation.String())
	if err != nil {
		return nil, err
	}
	if in.Thumbnail && !row.Thumbnail {
		return nil, NewFault("not_found")
	}
	if err := AuditRead(ctx, a.opts.Directory.Trail(), id, &info.State, audit.FileRead, file.String()); err != nil {
		return nil, err
	}
	out := &linkOutput{}
	out.Body.URL = a.opts.FilesOrigin + a.opts.Blobs.SignURL(file, linkLifetime, in.Thumbnail)
	out.Body.Expires = time.Now().Add(linkLifetime).UTC()
	return out, nil
}
