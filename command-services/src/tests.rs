mod answered_before;
mod recover;
mod repeated;
mod unique_emails;
mod upgraded;
