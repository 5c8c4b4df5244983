package sqlite

import (
	"database/sql"

	"github.com/parley-gateway/parley/core/eventlog"
)

// columns is a row's values as the driver makes them: int64, string, []byte or nil. A value of
// another type than asked for reads as zero; the row's checksum then does not match.
type columns []any

func (c columns) bytes(i int) []byte         { b, _ := c[i].([]byte); return b }
func (c columns) number(i int) int64         { n, _ := c[i].(int64); return n }
func (c columns) text(i int) string          { s, _ := c[i].(string); return s }
func (c columns) id(i int) eventlog.StreamID { return idOf(c.bytes(i)) }

// each makes a scanner for Log.query from a function that reads one row as columns. The writing
// connection uses the same functions without database/sql.
func each[R any](of func(columns) (R, error), to func(R)) func(*sql.Rows) error {
	var row columns
	var dest []any
	return func(rows *sql.Rows) error {
		if dest == nil {
			names, err := rows.Columns()
			if err != nil {
				return err
			}
			row, dest = make(columns, len(names)), make([]any, len(names))
			for i := range row {
				dest[i] = &row[i]
			}
		}
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		r, err := of(row)
		if err != nil {
			return err
		}
		to(r)
		return nil
	}
}
