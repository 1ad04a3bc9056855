mod answered_before;
mod recover;
mod repeated;
mod upgraded;
