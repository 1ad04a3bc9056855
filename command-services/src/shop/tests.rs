mod recover;
