package sdk

// Ended returns why the process would have ended, nil if it would not have.
func (s *Server) Ended() error {
	select {
	case err := <-s.stop:
		return err
	default:
		return nil
	}
}
