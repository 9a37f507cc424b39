-- compatible
-- The instance whose scheduler has claimed a due time: its next life lets go of it at once, instead
-- of waiting for the lease of the one that was killed.
ALTER TABLE schedule_fires ADD COLUMN held_by text;
