package sqlite

import (
	"context"
	"fmt"
	"time"
)

// AcquireLease implements eventlog.Log.
func (l *Log) AcquireLease(ctx context.Context, name, node string, ttl time.Duration) (epoch int64, held bool, err error) {
	var got struct {
		epoch int64
		held  bool
	}
	_, err = l.do(ctx, func(r *request) {
		r.work = func() error {
			got.epoch, got.held = 0, false // the function may run again after a rollback
			row, err := l.w.sql.lease.row(name)
			if err != nil {
				return err
			}
			now := time.Now()
			if row != nil {
				got.epoch = row[1].(int64)
				holder, until := row[0].(string), row[2].(int64)
				got.held = holder == node
				if !got.held && holder != "" && now.UnixNano() < until {
					return nil
				}
			}
			if !got.held {
				got.epoch++
				got.held = true
			}
			_, err = l.w.sql.setLease.exec(name, node, got.epoch, now.Add(ttl).UnixNano())
			return err
		}
	})
	if err != nil {
		return 0, false, fmt.Errorf("acquire lease %s: %w", name, err)
	}
	return got.epoch, got.held, nil
}

// ReleaseLease implements eventlog.Log.
func (l *Log) ReleaseLease(ctx context.Context, name, node string, epoch int64) error {
	_, err := l.do(ctx, func(r *request) {
		r.work = func() error {
			row, err := l.w.sql.lease.row(name)
			if err != nil || row == nil || row[0].(string) != node || row[1].(int64) != epoch {
				return err
			}
			_, err = l.w.sql.setLease.exec(name, "", row[1], int64(0))
			return err
		}
	})
	if err != nil {
		return fmt.Errorf("release lease %s: %w", name, err)
	}
	return nil
}
